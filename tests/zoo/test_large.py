"""A database of 300 tables, every schema shape in it several times, through training and generation: half an hour."""

from __future__ import annotations

from pathlib import Path

import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from spark_synth import pipeline
from spark_synth.config import load_config
from tests.zoo.large import TABLES, large, write
from tests.zoo.test_zoo import CONF, check_tables

pytestmark = [pytest.mark.slow, pytest.mark.timeout(7200)]


def test_hundreds_of_tables(spark: SparkSession, tmp_path: Path) -> None:
    schema, real = large()
    assert len(schema.tables) >= TABLES
    write(tmp_path / "real", schema, real)
    options: dict[str, object] = {"source.path": tmp_path / "real", "schema": tmp_path / "real" / "schema.yaml"}
    options |= {"output": tmp_path / "out", "train.max_epochs": 4, "model.hidden": 32}
    config = load_config(CONF, [f"{k}={v}" for k, v in options.items()], identifier="made")
    pipeline.train(config)
    folder = pipeline.generate(config) / "tables"
    check_tables(schema, real, {t: DeltaTable(folder / t).to_pandas() for t in schema.tables})
