"""Training placed on executors: a Spark task for each table, several for a large one, watched from the driver."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from threading import Thread
from typing import Any

import pandas as pd
from pyspark import InheritableThread
from pyspark.sql import SparkSession

from spark_synth.errors import RunError, UserError
from spark_synth.training.job import FitJob, FitResult
from spark_synth.training.schedule import COUNTED

Watch = Callable[[str, dict[str, Any]], None]
POLL_SECONDS = 1.0
TOGETHER = "spark-synth-together"  # the group of Spark's jobs of trainings of several ranks


def train_tables(spark: SparkSession, jobs: list[FitJob], watch: Watch) -> dict[str, FitResult]:
    """Run every job, in the given order; `watch(table, entry)` hears of each finished epoch.

    Those of several ranks train one after the other, each on that many executors; beside them every other one is a
    Spark task of its own, wherever there is room. Copulas are computed by Spark itself.
    """
    results: list[FitResult] = []
    failures: list[BaseException] = []
    counted = [j for j in jobs if j.spec["family"] in COUNTED]
    trained = [j for j in jobs if j not in counted]
    large, small = [j for j in trained if j.ranks > 1], [j for j in trained if j.ranks == 1]

    def start(work: Callable[[], list[FitResult]]) -> Thread:
        def guarded() -> None:
            try:
                results.extend(work())
            except BaseException as error:  # noqa: BLE001 - handed to the caller's thread
                failures.append(error)

        thread = InheritableThread(target=guarded, daemon=True)
        thread.start()
        return thread

    threads = []
    if large:
        threads.append(start(lambda: _run_together(spark, large)))
        _until_submitted(spark, threads[0])
    if small:
        threads.append(start(lambda: _run(spark, small)))
    if counted:
        threads.append(start(lambda: _count(spark, counted)))
    seen = dict.fromkeys((j.table for j in jobs), 0)
    while any(t.is_alive() for t in threads):
        next(t for t in threads if t.is_alive()).join(POLL_SECONDS)
        for job in jobs:
            seen[job.table] = _tell(job, seen[job.table], watch)
        if failures:
            break  # the other kind of training ends with the session, and goes on at its checkpoints another time
    if failures and isinstance(failures[0], (UserError, RunError)):
        raise failures[0]
    if failures:
        raise RunError(f"training failed: {_last_line(failures[0])}") from failures[0]
    return {r.table: r for r in results}


def _count(spark: SparkSession, jobs: list[FitJob]) -> list[FitResult]:
    from spark_synth.training.copulas import fit_copulas

    return fit_copulas(spark, jobs)


def _run_together(spark: SparkSession, jobs: list[FitJob]) -> list[FitResult]:
    from spark_synth.training.together import fit_together

    spark.sparkContext.setJobGroup(TOGETHER, "tables that several executors train together")
    return [fit_together(spark, job) for job in jobs]


def _until_submitted(spark: SparkSession, thread: Thread) -> None:
    """Wait until Spark has the first training of several ranks: it needs all its executors at once, and would have to
    wait for every other table if these took them first."""
    while thread.is_alive() and not spark.sparkContext.statusTracker().getJobIdsForGroup(TOGETHER):
        thread.join(POLL_SECONDS / 10)


def trees(jobs: list[FitJob]) -> list[list[FitJob]]:
    """Jobs that must be trained in one task: each by itself, those of a hierarchical GAN with those they hang on,
    owners first."""
    at = {j.table: j for j in jobs}
    found: dict[str, list[FitJob]] = {}
    for job in jobs:
        path = [job]
        while path[-1].parent in at:
            path.append(at[path[-1].parent])
        group = found.setdefault(path[-1].table, [])
        group.extend(j for j in path[::-1] if j not in group)
    return list(found.values())


def with_time_of_tree(jobs: list[FitJob], most: float) -> list[FitJob]:
    """Tables that are trained in one task have the seconds of all of them, `most` at most."""
    seconds = {
        j.table: min(most, sum(k.seconds for k in t)) if len(t) > 1 else j.seconds for t in trees(jobs) for j in t
    }
    return [replace(j, seconds=seconds[j.table]) for j in jobs]


def _run(spark: SparkSession, jobs: list[FitJob]) -> list[FitResult]:
    tasks = trees(jobs)
    plain = [[asdict(j) for j in task] for task in tasks]

    def fit(frames: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        from spark_synth.training.device import device_of, own_gpu, place_of

        gpu = own_gpu()
        for frame in frames:
            found = []
            for i in frame["id"]:
                task = [FitJob(**{**job, "device": device_of(gpu)}) for job in plain[i]]
                found += [replace(result, placed=place_of(gpu)) for result in _fit(task)]
            yield pd.DataFrame({"result": [json.dumps(asdict(r)) for r in found]})

    rows = spark.range(0, len(tasks), 1, len(tasks)).mapInPandas(fit, "result string").collect()
    return [FitResult(**json.loads(r["result"])) for r in rows]


def _fit(jobs: list[FitJob]) -> list[FitResult]:
    from spark_synth.training.fit import fit_table
    from spark_synth.training.hierarchy import fit_hierarchy

    try:
        return fit_hierarchy(jobs) if jobs[0].spec["family"] == "gan" else [fit_table(jobs[0])]
    except Exception as error:  # of which Spark brings the driver no more than the words
        raise RunError(f"table {jobs[0].table}: {type(error).__name__}: {error}") from error


def _tell(job: FitJob, seen: int, watch: Watch) -> int:
    path = Path(job.scratch) / "progress.jsonl"
    if not path.exists():
        return seen
    lines = path.read_text().split("\n")[:-1]
    for line in lines[seen:]:
        with suppress(ValueError):  # half a line is what a full disk leaves of one
            watch(job.table, json.loads(line))
    return len(lines)


def _last_line(error: BaseException) -> str:
    lines = [x.strip() for x in str(error).splitlines() if x.strip() and not x.lstrip().startswith(("at ", "File"))]
    named = [x for x in lines if "Error" in x]
    return (named or lines or [type(error).__name__])[-1].removeprefix(f"{RunError.__module__}.{RunError.__name__}: ")
