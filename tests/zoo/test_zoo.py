"""Every schema shape through the whole job: keys, orphans, degrees, NULLs, uniqueness, and any partitioning."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from pyspark.sql import SparkSession

from spark_synth import pipeline
from tests.zoo.catalogue import SHAPES, make
from tests.zoo.checks import check_tables
from tests.zoo.runs import configured, generated, write

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.mark.parametrize("name", SHAPES)
def test_shape(name: str, spark: SparkSession, tmp_path: Path) -> None:
    schema, real = make(name)
    write(tmp_path, schema, real)
    pipeline.train(configured(tmp_path, "one", 1))
    one, five = (generated(configured(tmp_path, name, parts), schema) for name, parts in (("one", 1), ("five", 5)))
    for table, rows in one.items():
        pd.testing.assert_frame_equal(_sorted(rows), _sorted(five[table]))
    check_tables(schema, real, one)


def _sorted(table: pd.DataFrame) -> pd.DataFrame:
    return table.sort_values(list(table.columns), ignore_index=True)
