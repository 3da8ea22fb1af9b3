"""A database of 300 tables, every schema shape in it several times, through training and generation: 40 minutes."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from spark_synth import pipeline
from tests.zoo.checks import check_tables
from tests.zoo.large import TABLES, large
from tests.zoo.runs import configured, generated, write

pytestmark = [pytest.mark.slow, pytest.mark.timeout(7200)]


def test_hundreds_of_tables(spark: SparkSession, tmp_path: Path) -> None:
    schema, real = large()
    assert len(schema.tables) >= TABLES
    write(tmp_path, schema, real)
    config = configured(tmp_path)
    pipeline.train(config)
    check_tables(schema, real, generated(config, schema))
