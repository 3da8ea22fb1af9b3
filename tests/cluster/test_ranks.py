"""One table trained by two executors, each a process with a GPU of its own, and what comes of it if one is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from pyspark.sql import SparkSession
from safetensors.torch import load_file

from spark_synth.training.job import FitJob
from tests.cluster.machines import cluster
from tests.places import REPOSITORY
from tests.training.made import made_job, made_packs

FAMILIES, TRAINED = 2_000, 3_200


@pytest.fixture(scope="module")
def packs(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> str:
    """In two row groups."""
    return made_packs(spark, str(tmp_path_factory.mktemp("packs")), FAMILIES, shards=2)


@pytest.fixture(scope="module")
def master(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of two workers with a core and a GPU each."""
    with cluster(tmp_path_factory.mktemp("machines"), [["4"], ["7"]], cores=1) as url:
        yield url


def made(packs: str, folder: Path, epochs: int) -> list[FitJob]:
    """A table for two ranks, eight steps an epoch, and a small one beside it."""
    large = replace(
        made_job(packs, folder / "large"),
        table="large",
        train_rows=TRAINED,
        holdout_rows=2 * FAMILIES - TRAINED,
        batch_rows=200,
        epochs=epochs,
        ranks=2,
        checkpoint_seconds=0.05,
    )
    return [large, replace(made_job(packs, folder / "small"), table="small")]


def started(master: str, jobs: list[FitJob], folder: Path) -> subprocess.Popen[bytes]:
    """A driver that trains them on the cluster."""
    gpu = {"spark.executor.resource.gpu.amount": "1", "spark.task.resource.gpu.amount": "1"}
    conf = gpu | {
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.executor.memory": "1g",
        "spark.ui.enabled": "false",
    }
    told = {"jobs": [asdict(j) for j in jobs], "results": str(folder / "results.json"), "log": str(folder / "log")}
    (folder / "asked.json").write_text(json.dumps({**told, "master": master, "conf": conf}))
    command = [sys.executable, "-m", "tests.cluster.program", str(folder / "asked.json")]
    return subprocess.Popen(command, cwd=REPOSITORY)


def results(folder: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((folder / "results.json").read_text())["tables"]
    return told


def rank_process(rank: int) -> int:
    """The process of a rank: a child of torchrun, which has the same file among its arguments."""
    for path in Path("/proc").glob("[0-9]*"):
        try:
            command = (path / "cmdline").read_bytes().split(b"\0")
            environment = (path / "environ").read_bytes().split(b"\0")
        except OSError:  # it has ended
            continue
        trains = any(c.endswith(b"/train.py") for c in command) and b"-m" not in command
        if trains and f"RANK={rank}".encode() in environment:
            return int(path.name)
    raise AssertionError(f"no process of rank {rank}")


@pytest.mark.timeout(900)  # it starts two drivers and three pairs of ranks
@pytest.mark.slow
def test_a_rank_that_is_killed_costs_no_more_than_its_checkpoint(master: str, packs: str, tmp_path: Path) -> None:
    """Killed within an epoch; the stage starts again on both executors, and the weights are those of an undisturbed
    training. Both ranks have a GPU of their own, and tables that one executor trains alone are trained as ever."""
    folders = {name: tmp_path / name for name in ("whole", "killed")}
    for folder in folders.values():
        folder.mkdir()
    whole, killed = (made(packs, folder, epochs=40) for folder in folders.values())
    assert started(master, whole, folders["whole"]).wait(300) == 0
    driver = started(master, killed, folders["killed"])
    scratch = Path(killed[0].scratch)
    wait_for(lambda: any(int(p.stem.partition("-")[2]) > 20 for p in scratch.glob("checkpoint-*.json")))
    os.kill(rank_process(1), signal.SIGKILL)
    step = newest(scratch)
    assert driver.wait(300) == 0 and step < 320
    found = {name: results(folder) for name, folder in folders.items()}
    for told in found.values():
        assert sorted(p.split(", ")[1] for p in told["large"]["placed"].split("; ")) == ["GPU 4", "GPU 7"]
        assert told["small"]["epochs"] == 4
    for name in ("large", "small"):
        for loss in ("train_loss", "holdout_loss"):
            curves = [[e[loss] for e in told[name]["history"]] for told in found.values()]
            assert curves[0] == curves[1]
    one, other = (load_file(Path(jobs[0].folder) / "weights.safetensors") for jobs in (whole, killed))
    assert all(torch.equal(one[k], other[k]) for k in one | other)
    left = {p.name for p in scratch.iterdir() if not p.name.startswith("checkpoint-")}
    assert left <= {"progress.jsonl", "failed-0"}  # rank 0 says that it lost the other


def newest(scratch: Path) -> int:
    return max(int(p.stem.partition("-")[2]) for p in scratch.glob("checkpoint-*.json"))


def wait_for(condition: Any) -> None:  # noqa: ANN401
    until = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)
