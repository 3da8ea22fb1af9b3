"""Small databases written to files, and the one way the tests open them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from spark_synth.config import SourceSettings
from spark_synth.schema import Schema
from spark_synth.sources import Database, open_database

Open = Callable[..., Database]


@pytest.fixture
def open_files(spark: SparkSession, tmp_path: Path) -> Open:
    """Opens CSV texts, `{table: text}`, or what lies in `tmp_path` already."""

    def opened(schema: Schema, files: dict[str, str] | None = None, sample: float = 1, seed: int = 0) -> Database:
        for table, text in (files or {}).items():
            (tmp_path / f"{table}.csv").write_text(text, encoding="utf-8")
        return open_database(spark, SourceSettings(path=str(tmp_path), sample=sample), schema, seed)

    return opened
