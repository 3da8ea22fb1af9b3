"""A table that two processes train together: as one process with batches twice as large, each on its own half."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pyspark.sql import SparkSession
from safetensors.torch import load_file

from spark_synth.errors import RunError, UserError
from spark_synth.training.fit import fit_table
from spark_synth.training.job import FitJob
from spark_synth.training.place import train_tables
from tests.training.made import made_job, made_packs

FAMILIES, TRAINED = 8_000, 12_800  # a fifth of the families, of two rows each, is held out


@pytest.fixture(scope="module")
def packs(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> str:
    """In two row groups."""
    return made_packs(spark, str(tmp_path_factory.mktemp("packs")), FAMILIES, shards=2)


def job_of(packs: str, folder: Path) -> FitJob:
    """Sixteen steps of 800 rows an epoch."""
    job = made_job(packs, folder)
    return replace(
        job, train_rows=TRAINED, holdout_rows=2 * FAMILIES - TRAINED, batch_rows=800, epochs=5, learning_rate=0.005
    )


def test_two_ranks_learn_as_one_process_with_the_doubled_batch(spark: SparkSession, packs: str, tmp_path: Path) -> None:
    alone = fit_table(job_of(packs, tmp_path / "alone"))
    job = replace(job_of(packs, tmp_path / "both"), batch_rows=400, ranks=2)
    assert job.steps == 16
    beside = replace(made_job(packs, tmp_path / "beside"), table="beside", epochs=1)
    heard: list[tuple[str, int]] = []
    both = train_tables(spark, [job, beside], lambda t, e: heard.append((t, e["epoch"])))
    assert [e for t, e in heard if t == "t"] == [1, 2, 3, 4, 5] and ("beside", 1) in heard
    for loss in ("train_loss", "holdout_loss"):
        curves = zip(both["t"].history, alone.history, strict=True)
        assert all(one[loss] == pytest.approx(other[loss], rel=0.02) for one, other in curves)
    assert both["t"].placed.count("CPU") == 2
    assert both["t"].history[-1]["holdout_loss"] < 0.8 * both["t"].history[0]["holdout_loss"]
    weights = load_file(Path(job.folder) / "weights.safetensors")
    assert all(torch.isfinite(w).all() for w in weights.values())
    checkpoint = load_file(Path(job.scratch) / "checkpoint-80.safetensors")
    assert len(checkpoint["random"]) == 2 and not torch.equal(*checkpoint["random"])


def test_shards_that_cannot_be_equal_are_told_before_anything_starts(
    spark: SparkSession, packs: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"table t: its training set has 2 row groups, which 3 ranks .* divisor of 2"):
        train_tables(spark, [replace(job_of(packs, tmp_path), ranks=3)], lambda *_: None)
    assert not (tmp_path / "scratch").exists()


@pytest.mark.slow
def test_rows_that_are_not_in_the_shards_are_missed(spark: SparkSession, packs: str, tmp_path: Path) -> None:
    job = replace(job_of(packs, tmp_path), ranks=2, train_rows=TRAINED + 1)
    with pytest.raises(RunError, match=r"table t: rank \d: RunError: the shards of its .* hold .* rows, not 12,801"):
        train_tables(spark, [job], lambda *_: None)
    assert not (tmp_path / "model").exists()
