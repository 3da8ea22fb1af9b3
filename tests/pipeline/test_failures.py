"""What Spark and disks say when they fail, in one line. The errors are real ones."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pandas as pd
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from spark_synth.encoding.at_once import each
from spark_synth.errors import RunError, UserError
from spark_synth.pipeline.failures import AGAIN, in_one_line, plainly


def failing(error: Exception) -> Callable[[Iterable[pd.DataFrame]], Iterator[pd.DataFrame]]:
    """A function for mapInPandas that raises `error`."""

    def fail(frames: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        raise error
        yield from frames

    return fail


def caught(work: Callable[[], object]) -> Exception:
    """What `work` raises."""
    with pytest.raises(Exception, match=".") as raised:
        work()
    return raised.value


def full(path: str | None = None) -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)


def test_a_full_disk_names_table_and_file(spark: SparkSession) -> None:
    def write(table: str) -> None:
        spark.range(1).mapInPandas(failing(full("/disk/file")), "id long").collect()

    assert in_one_line(caught(lambda: each(["orders"], write))) == (
        f"table orders: no space left on the disk of /disk/file: make room there, then {AGAIN}"
    )


def test_a_full_disk_of_an_executor_names_its_machine() -> None:
    text = (
        "An error occurred while calling o1.save.\n: org.apache.spark.SparkException: Job aborted due to stage "
        "failure: Task 0 in stage 1.0 failed 4 times, most recent failure: Lost task 0.3 in stage 1.0 (TID 9) "
        "(10.1.2.3 executor 7): java.io.IOException: No space left on device\n\tat java.base/x\n"
    )
    assert in_one_line(RuntimeError(text)) == (
        f"no space left on a disk on 10.1.2.3 (executor 7): make room there, then {AGAIN}"
    )


def test_a_full_disk_of_the_driver() -> None:
    assert in_one_line(full()) == f"no space left on a disk of the driver: make room there, then {AGAIN}"
    assert in_one_line(full("/out/manifest.json")) == (
        f"no space left on the disk of /out/manifest.json: make room there, then {AGAIN}"
    )


def test_a_failed_job_tells_why(spark: SparkSession, tmp_path: Path) -> None:
    java = spark.range(1).select(F.raise_error(F.lit("no such row")).cast("int").alias("id"))
    python = spark.range(1).mapInPandas(failing(ValueError("odd\nvalue")), "id long")
    path = str(tmp_path / "t")
    for job, why in ((java, "RuntimeError|RuntimeException: no such row"), (python, "value")):
        told = in_one_line(caught(lambda job=job: job.write.mode("overwrite").parquet(path)))  # type: ignore[misc]
        assert re.fullmatch(rf"Spark failed: (?:{why}) \(--debug shows the traceback\); {AGAIN}", str(told))


def test_other_errors_are_left_as_they_are() -> None:
    @plainly
    def stage(error: Exception) -> None:
        """A stage."""
        raise error

    for error in (UserError("no such table"), RunError("lost"), ValueError("a bug"), ConnectionError("of MLflow")):
        assert caught(lambda error=error: stage(error)) is error  # type: ignore[misc]
    told = caught(lambda: stage(full()))
    assert isinstance(told, RunError) and isinstance(told.__cause__, OSError)
    assert stage.__doc__ == "A stage."
