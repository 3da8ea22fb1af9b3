"""Copulas computed in Spark: the same as from all rows at once, whatever the partitions."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pyspark.sql import SparkSession
from safetensors.torch import load_file

from spark_synth.feed import read_packs
from spark_synth.models.copula import Copula
from spark_synth.models.spec import GeneratorSpec
from spark_synth.training.copulas import scores_of
from spark_synth.training.job import FitJob
from spark_synth.training.moments import Moments, fit_copula
from spark_synth.training.place import train_tables
from tests.training.made import SPEC, made_job, made_packs


@pytest.fixture(scope="module")
def packs(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> str:
    return made_packs(spark, str(tmp_path_factory.mktemp("packs")), shards=3)


@pytest.fixture
def job(packs: str, tmp_path: Path) -> FitJob:
    return replace(made_job(packs, tmp_path), spec=replace(SPEC, family="copula").to_json(), epochs=1)


def test_a_copula_of_all_partitions_is_that_of_all_rows(spark: SparkSession, job: FitJob) -> None:
    heard: list[dict[str, float]] = []
    result = train_tables(spark, [job], lambda _, entry: heard.append(entry))["t"]
    frequencies, whole = (e["holdout_loss"] for e in result.history)
    assert result.best_loss == whole < frequencies - 0.3
    assert [e["holdout_loss"] for e in heard] == [whole]
    spec = GeneratorSpec.from_json(job.spec)
    seen, held = (read_packs(f"{job.packs}/split={s}", job.shape, 10_000) for s in ("train", "holdout"))
    model = Copula(spec)
    model.set_scores(*scores_of(spec, seen))
    moments = Moments.none(model)
    for batch in seen:
        moments.add(model, batch)
    fit_copula(model, moments, seen, held)
    found = load_file(Path(job.folder) / "weights.safetensors")
    assert set(found) == set(model.state_dict())
    assert all(torch.allclose(v, model.state_dict()[k], atol=1e-3) for k, v in found.items())


def test_a_finished_copula_is_left_as_it_is(spark: SparkSession, job: FitJob) -> None:
    first = train_tables(spark, [job], lambda *_: None)["t"]
    (Path(job.folder) / "weights.safetensors").unlink()
    assert train_tables(spark, [job], lambda *_: None)["t"] == first
    assert not (Path(job.folder) / "weights.safetensors").exists()


def test_too_few_rows_are_frequencies(spark: SparkSession, job: FitJob) -> None:
    few = replace(job, epochs=0)
    assert train_tables(spark, [few], lambda *_: None)["t"].ended == "too few rows: frequencies"
    assert json.loads((Path(few.folder) / "spec.json").read_text())["family"] == "copula"
