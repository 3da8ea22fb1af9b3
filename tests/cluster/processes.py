"""Drivers of real runs, and the executors that work for them, by process id: who writes where, and how to kill them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tests.cluster.machines import WORKER
from tests.places import CONF, REPOSITORY

T = TypeVar("T")
WAIT = 600.0  # seconds for something to happen, and for a run to end
BRIEF = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"  # for Java that runs a minute, in half the time
POLL = 0.005  # a file of a small table is open for some hundredths of a second


@dataclass(frozen=True)
class Driver:
    """A command that runs, with its temporary files, its output and Spark's record of its events below `folder`."""

    process: subprocess.Popen[bytes]
    folder: Path

    def end(self) -> int:
        """Wait for it; its exit code."""
        return self.process.wait(WAIT)

    @property
    def out(self) -> str:
        """What it wrote to stdout."""
        return (self.folder / "out").read_text()

    @property
    def err(self) -> str:
        """What it wrote to stderr."""
        return (self.folder / "err").read_text()


def start(master: str, command: str, options: dict[str, object], folder: Path) -> Driver:
    """Start `spark-synth command` on a cluster, with options of the configuration."""
    for made in ("scratch", "events"):
        (folder / made).mkdir(parents=True)
    conf = {
        "spark.master": master,
        "spark.conf.spark.driver.host": "127.0.0.1",
        "spark.conf.spark.driver.bindAddress": "127.0.0.1",
        "spark.conf.spark.driver.memory": "1g",
        "spark.conf.spark.executor.memory": "1g",
        "spark.conf.spark.driver.extraJavaOptions": BRIEF,
        "spark.conf.spark.executor.extraJavaOptions": BRIEF,
        "spark.conf.spark.ui.enabled": "false",
        "spark.conf.spark.sql.shuffle.partitions": "2",
        "spark.conf.spark.databricks.delta.snapshotPartitions": "1",
        "spark.conf.spark.eventLog.enabled": "true",
        "spark.conf.spark.eventLog.dir": (folder / "events").as_uri(),
    }
    flags = [x for k, v in {**conf, **options}.items() for x in ("--set", f"{k}={v}")]
    told = [sys.executable, "-m", "spark_synth", command, "--conf", str(CONF), *flags]
    scratch = str(folder / "scratch")
    places = {"SPARK_LOCAL_DIRS": scratch, "TMPDIR": scratch, "PYSPARK_PYTHON": sys.executable}
    with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
        process = subprocess.Popen(told, cwd=REPOSITORY, stdout=out, stderr=err, env={**os.environ, **places})
    return Driver(process, folder)


def executors(master: str, driver: Driver) -> list[int]:
    """The executors of a driver, children of the workers of a cluster; those of drivers before it take time to end."""
    commands = dict(_commands())
    workers = [pid for pid, command in commands.items() if WORKER in command and master in command]
    (record,) = list((driver.folder / "events").iterdir()) or [Path("none yet")]
    application = record.name.removesuffix(".inprogress")
    return [pid for worker in workers for pid in children(worker) if application in commands.get(pid, [])]


def children(parent: int) -> list[int]:
    """Processes that a process started."""
    found = []
    for pid, _ in _commands():
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        if int(fields[1]) == parent:
            found.append(pid)
    return found


def writer(master: str, driver: Driver, writes: Callable[[str], bool]) -> int | None:
    """An executor of a driver that has a file open whose path `writes` accepts."""
    for pid in executors(master, driver):
        for descriptor in Path(f"/proc/{pid}/fd").glob("*"):
            try:
                path = os.readlink(descriptor)
            except OSError:  # closed meanwhile
                continue
            if writes(path):
                return pid
    return None


def wait_for(condition: Callable[[], T | None], driver: Driver) -> T:
    """What `condition` gives as soon as that is true; AssertionError where the driver ends before."""
    until = time.monotonic() + WAIT
    while not (found := condition()):
        assert driver.process.poll() is None, f"the driver has ended: {driver.err}"
        assert time.monotonic() < until
        time.sleep(POLL)
    return found


def _commands() -> Iterator[tuple[int, list[str]]]:
    """Every process with its command line."""
    for path in Path("/proc").glob("[0-9]*"):
        try:
            yield int(path.name), (path / "cmdline").read_text(errors="replace").split("\0")
        except OSError:
            continue
