"""Every generator family through the whole job: keys, orphans, degrees, and any partitioning give the same tables.

Shapes of the zoo, and real databases: folders with SDV metadata in the folder that SPARK_SYNTH_DATABASES names.
"""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import pytest
from pyspark.sql import SparkSession

from spark_synth import pipeline
from spark_synth.config import RunConfig, load_config
from spark_synth.schema import Schema, load_schema
from spark_synth.sources import open_database
from tests.places import CONF
from tests.zoo.catalogue import make
from tests.zoo.checks import check_tables
from tests.zoo.draws import Tables
from tests.zoo.runs import configured, generated, write

FAMILIES = ["autoregressive", "copula", "graph_vae", "gan", "clustered"]
SHAPES = ["order_lines", "null_link", "self_reference_with_owner", "long_family", "orphans_kept", "everything"]
DATABASES = ["northwind", "basketball3", "rossmann2014", "employees"]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


@pytest.mark.parametrize("family", FAMILIES[1:])  # the default has each shape of the zoo: test_zoo.py
@pytest.mark.parametrize("name", SHAPES)
def test_shape(name: str, family: str, spark: SparkSession, tmp_path: Path) -> None:
    schema, real = make(name)
    write(tmp_path, schema, real)
    pipeline.train(configured(tmp_path, family=family))
    one, five = (configured(tmp_path, n, parts, family) for n, parts in (("one", 1), ("five", 5)))
    check(schema, real, one, five)


@pytest.mark.skipif("SPARK_SYNTH_DATABASES" not in os.environ, reason="no real databases at hand")
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", DATABASES)
def test_database(name: str, family: str, spark: SparkSession, tmp_path: Path) -> None:
    folder = Path(os.environ["SPARK_SYNTH_DATABASES"]) / name
    options: dict[str, object] = {"source.path": folder, "schema": folder / "metadata.json", "output": tmp_path}
    options |= {"train.max_minutes": 1, "train.max_epochs": 3, "model.family": family}
    told = [f"{k}={v}" for k, v in options.items()]
    one, five = (load_config(CONF, [*told, f"generate.partitions={n}"], identifier=f"parts-{n}") for n in (1, 5))
    database = open_database(spark, one.source, load_schema(one.schema_path), one.seed)
    real = {t: rows.toPandas() for t, rows in database.tables.items()}
    pipeline.train(one)
    check(database.schema, real, one, five)


def check(schema: Schema, real: Tables, one: RunConfig, five: RunConfig) -> None:
    """The tables of both runs are the same, and sound."""
    made, again = (generated(config, schema) for config in (one, five))
    for table, rows in made.items():
        pd.testing.assert_frame_equal(_sorted(rows), _sorted(again[table]))
    check_tables(schema, real, made)


def _sorted(table: pd.DataFrame) -> pd.DataFrame:
    return table.sort_values(list(table.columns), ignore_index=True)
