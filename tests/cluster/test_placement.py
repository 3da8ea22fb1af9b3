"""Training on a master and two workers, each a process: every task has the GPU that Spark gave it, to itself."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from spark_synth.training.job import FitJob
from tests.cluster.machines import cluster
from tests.places import REPOSITORY
from tests.training.made import made_job, made_packs

ADDRESSES = [["4"], ["7"]]  # of the GPUs that the workers say they have
TABLES = 6


@pytest.fixture(scope="module")
def jobs(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> list[FitJob]:
    """Six tables to train, each in a folder of its own."""
    folder = tmp_path_factory.mktemp("cluster")
    packs = made_packs(spark, str(folder / "packs"))
    return [replace(made_job(packs, folder / f"t{n}"), table=f"t{n}") for n in range(TABLES)]


@pytest.fixture(scope="module")
def folder(jobs: list[FitJob], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a driver has left what came out of training on two workers with two cores and one GPU each."""
    folder = tmp_path_factory.mktemp("machines")
    (folder / "events").mkdir()
    gpu = {"spark.executor.resource.gpu.amount": "1", "spark.task.resource.gpu.amount": "1"}
    conf = gpu | {
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.executor.memory": "1g",
        "spark.cores.max": "4",
        "spark.ui.enabled": "false",
        "spark.eventLog.enabled": "true",
        "spark.eventLog.dir": (folder / "events").as_uri(),
    }
    told = {"jobs": [asdict(j) for j in jobs], "results": str(folder / "results.json"), "log": str(folder / "log")}
    with cluster(folder, ADDRESSES, cores=2) as master:
        (folder / "asked.json").write_text(json.dumps({**told, "master": master, "conf": conf}))
        command = [sys.executable, "-m", "tests.cluster.program", str(folder / "asked.json")]
        subprocess.run(command, cwd=REPOSITORY, check=True, timeout=300)
    return folder


def test_every_task_trains_on_the_gpu_of_its_executor(folder: Path) -> None:
    told = json.loads((folder / "results.json").read_text())
    results = told["tables"]
    assert told["places"] == {"slots": 2, "threads": 2, "ranks": 2, "large": 2_000_000}  # four cores, two GPUs
    assert [r["epochs"] for r in results.values()] == [4] * TABLES
    executors = {f"t{task['Index']}": task["Executor ID"] for task in tasks(folder)}
    met = {(executors[t], r["placed"].split(", ")[1]) for t, r in results.items()}
    assert sorted(gpu for _, gpu in met) == ["GPU 4", "GPU 7"] and len({e for e, _ in met}) == 2


def test_no_two_tasks_have_a_gpu_at_the_same_time(folder: Path) -> None:
    """By Spark's own record of them; each executor has one GPU, and room for two tasks that ask for none."""
    met = [
        a["Executor ID"] == b["Executor ID"]
        for a, b in combinations(tasks(folder), 2)
        if a["Launch Time"] < b["ended"] and b["Launch Time"] < a["ended"]
    ]
    assert met and not any(met)


def tasks(folder: Path) -> list[dict[str, Any]]:
    """The tasks that trained tables; ended: when each did in its executor. The driver hears of that, and writes down
    its time, when the GPU is free already and another task may have it."""
    (log,) = (folder / "events").iterdir()
    events = [json.loads(line) for line in log.read_text().splitlines()]
    ended = [e for e in events if e["Event"] == "SparkListenerTaskEnd"]
    by_stage: dict[int, list[dict[str, Any]]] = {}
    for e in ended:
        info, took = e["Task Info"], e["Task Metrics"]
        spent = took["Executor Deserialize Time"] + took["Executor Run Time"]
        by_stage.setdefault(e["Stage ID"], []).append(info | {"ended": info["Launch Time"] + spent})
    (found,) = [t for t in by_stage.values() if len(t) == TABLES]
    return found
