"""Training placed on executors: one Spark task per table, several side by side, watched from the driver."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pandas as pd
from pyspark.sql import SparkSession

from spark_synth.errors import RunError
from spark_synth.training.job import FitJob, FitResult

Watch = Callable[[str, dict[str, Any]], None]
POLL_SECONDS = 1.0


def train_tables(spark: SparkSession, jobs: list[FitJob], watch: Watch) -> dict[str, FitResult]:
    """Run every job as a task of its own, in the given order; `watch(table, entry)` hears of each finished epoch."""
    results: list[FitResult] = []
    failures: list[BaseException] = []

    def work() -> None:
        try:
            results.extend(_run(spark, jobs))
        except BaseException as error:  # noqa: BLE001 - handed to the caller's thread
            failures.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    seen = dict.fromkeys((j.table for j in jobs), 0)
    while thread.is_alive():
        thread.join(POLL_SECONDS)
        for job in jobs:
            seen[job.table] = _tell(job, seen[job.table], watch)
    if failures:
        raise RunError(f"training failed: {_last_line(failures[0])}") from failures[0]
    return {r.table: r for r in results}


def _run(spark: SparkSession, jobs: list[FitJob]) -> list[FitResult]:
    plain = [asdict(j) for j in jobs]

    def fit(frames: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        from spark_synth.training.device import device_of, own_gpu, place_of
        from spark_synth.training.fit import fit_table

        gpu = own_gpu()
        for frame in frames:
            jobs = [FitJob(**{**plain[i], "device": device_of(gpu)}) for i in frame["id"]]
            found = [replace(fit_table(job), placed=place_of(gpu)) for job in jobs]
            yield pd.DataFrame({"result": [json.dumps(asdict(r)) for r in found]})

    rows = spark.range(0, len(jobs), 1, len(jobs)).mapInPandas(fit, "result string").collect()
    return [FitResult(**json.loads(r["result"])) for r in rows]


def _tell(job: FitJob, seen: int, watch: Watch) -> int:
    path = Path(job.scratch) / "progress.jsonl"
    if not path.exists():
        return seen
    lines = path.read_text().splitlines()
    for line in lines[seen:]:
        watch(job.table, json.loads(line))
    return len(lines)


def _last_line(error: BaseException) -> str:
    lines = [x.strip() for x in str(error).splitlines() if x.strip() and not x.lstrip().startswith(("at ", "File"))]
    named = [x for x in lines if "Error" in x]
    return (named or lines or [type(error).__name__])[-1]
