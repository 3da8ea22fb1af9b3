"""Full disks and failed Spark jobs, told in one line: where, why, and what to do. All else keeps its traceback."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from functools import wraps
from typing import ParamSpec, TypeVar

from py4j.protocol import Py4JError, Py4JJavaError
from pyspark import SparkContext
from pyspark.errors import PythonException

from spark_synth.errors import RunError, UserError

P = ParamSpec("P")
T = TypeVar("T")
AGAIN = "start the same command again: it goes on where this one stopped"
PATIENCE = 5  # seconds in which a Java process that no longer answers is found to have ended
_FULL = re.compile(r"No space left on device|Disk quota exceeded|database or disk is full", re.I)
_TASK = re.compile(r"Lost task \S+ in stage \S+ \(TID \d+\) \((\S+) executor (\d+)\): ")
_FILE = re.compile(r"\[Errno \d+\] [^:\n]+: '(/[^'\n]+)'")
_TABLE = re.compile(r"RunError: (table [^:\n]+): ")
_TRACEBACK = re.compile(r"Traceback \(most recent call last\):\n(.+?)(?:\n\s*\n|\n\tat |\Z)", re.S)
_CAUSE = re.compile(r"^(?:Caused)? ?(?:by)?: (?:[a-z]\w*\.)*(\w.*)$", re.M)  # without the package of the class


def plainly(stage: Callable[P, T]) -> Callable[P, T]:
    """The stage; where a disk or a Spark job fails it, that is a RunError of one line."""

    @wraps(stage)
    def told(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return stage(*args, **kwargs)
        except UserError:
            raise
        except Exception as error:
            line = in_one_line(error)
            if line is None:
                raise
            raise RunError(line) from error

    return told


def in_one_line(error: BaseException) -> str | None:
    """What to tell of a full disk or of a failure of Spark; None for any other error."""
    chain = list(_chain(error))
    table = _table(chain)
    full = next((str(e) for e in reversed(chain) if _FULL.search(str(e))), None)
    if full is not None:
        return f"{table}no space left on {_disk(full)}: make room there, then {AGAIN}"
    if isinstance(error, RunError):
        return None
    if any(isinstance(e, Py4JError | ConnectionError) for e in chain) and _java_has_ended():
        return f"{table}the Java process of the Spark driver has ended (killed, or out of memory); {AGAIN}"
    if isinstance(error, Py4JJavaError | PythonException):
        told = str(next(e for e in reversed(chain) if isinstance(e, Py4JJavaError | PythonException)))
        return f"{table}Spark failed{_on(told)}: {_reason(told)} (--debug shows the traceback); {AGAIN}"
    return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error, and those that led to it."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _table(chain: list[BaseException]) -> str:
    """The table that was worked on, where it is known: what encoding.at_once or training.place say of it."""
    noted = [n for e in chain for n in getattr(e, "__notes__", ())]
    told = [found.group(1) for e in chain if (found := _TABLE.search(str(e)))]
    return "".join(f"{t}: " for t in (noted + told)[:1])


def _disk(text: str) -> str:
    file = _FILE.search(text)
    return (f"the disk of {file.group(1)}" if file else "a disk") + (_on(text) or ("" if file else " of the driver"))


def _on(text: str) -> str:
    """The place of a task."""
    found = _TASK.search(text)
    return f" on {found.group(1)} (executor {found.group(2)})" if found else ""


def _reason(text: str) -> str:
    """The last line of a worker's traceback, else the innermost cause that Java tells, else what befell the task."""
    tracebacks = _TRACEBACK.findall(text)
    if tracebacks:
        return str(tracebacks[-1].splitlines()[-1])
    lost = _TASK.search(text)
    causes = _CAUSE.findall(text)
    return str(causes[-1]) if len(causes) > 1 or not lost else text[lost.end() :].splitlines()[0]


def _java_has_ended() -> bool:
    process: subprocess.Popen[bytes] | None = getattr(SparkContext._gateway, "proc", None)
    if process is None:
        return False
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        return False
    return True
