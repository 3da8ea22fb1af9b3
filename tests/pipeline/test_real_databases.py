"""The whole job on real databases: keys, rows, readers, partitions, ratios and secrets. Minutes for each database."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_synth import pipeline
from spark_synth.config import RunConfig, load_config
from spark_synth.schema import Schema, load_schema
from spark_synth.schema.cycles import name_cuts
from spark_synth.schema.model import Kind
from spark_synth.schema.names import quote
from spark_synth.sources import Database, open_database
from tests.places import CONF

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

NAMES = ["northwind", "chinook", "sakila", "employees", "basketball", "rossmann100"]
BREAK_EDGES = {"sakila": ["store.manager_staff_id"]}  # a cycle in which no key is ever NULL
READ_WHOLE = 120_000  # rows that the independent reader compares one by one


class Trained(NamedTuple):
    """A database, trained and generated once as `one`; `config` makes configurations of the same training."""

    config: Callable[..., RunConfig]
    schema: Schema
    real: Database
    spark: SparkSession

    def made(self, identifier: str, **changes: object) -> Path:
        """The folder of tables generated as `identifier`."""
        return pipeline.generate(self.config(identifier, **changes)) / "tables"

    def table(self, folder: Path, name: str) -> DataFrame:
        return self.spark.read.format("delta").load(str(folder / name))


@pytest.fixture(scope="module", params=NAMES)
def trained(
    request: pytest.FixtureRequest, spark: SparkSession, shared_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Trained:
    source = shared_data / request.param
    output = tmp_path_factory.mktemp(request.param)

    def config(identifier: str, **changes: object) -> RunConfig:
        options = {"source.path": source, "schema": source / "metadata.json", "output": output}
        options |= {"train.max_minutes": 0.5, "model.hidden": 64, "break_edges": BREAK_EDGES.get(request.param, [])}
        options |= {k.replace("__", "."): v for k, v in changes.items()}
        return load_config(CONF, [f"{k}={v}" for k, v in options.items()], identifier=identifier)

    first = config("one")
    pipeline.run(first)
    schema = load_schema(first.schema_path)
    name_cuts(schema, first.break_edges)
    return Trained(config, schema, open_database(spark, first.source, schema, first.seed), spark)


def digest(df: DataFrame) -> tuple[int, int]:
    """Rows and an order-free sum of their hashes."""
    row = df.agg(F.count(F.lit(1)), F.sum(F.xxhash64(*map(quote, df.columns)).cast("decimal(38,0)"))).head()
    assert row is not None
    return row[0], int(row[1])


def check_database(trained: Trained, folder: Path, ratio: float) -> None:
    """Unique keys, no orphans, rows within 5 % of the ratio."""
    for name, table in trained.schema.tables.items():
        made = trained.table(folder, name)
        rows, expected = made.count(), trained.real.rows[name] * (1 if table.reference else ratio)
        assert abs(rows - expected) <= max(1, 0.05 * expected), (name, rows, expected)
        if table.primary_key:
            keys = [quote(c) for c in table.primary_key]
            assert made.dropna(subset=keys).select(*keys).distinct().count() == rows, name
        for fk in table.foreign_keys:
            child = made.select(*[F.col(quote(c)).alias(f"k{i}") for i, c in enumerate(fk.columns)]).dropna()
            parent = trained.table(folder, fk.parent).select(
                *[F.col(quote(c)).alias(f"k{i}") for i, c in enumerate(fk.parent_columns)]
            )
            assert child.join(parent, [f"k{i}" for i in range(len(fk.columns))], "left_anti").isEmpty(), fk.name


def test_keys_and_rows(trained: Trained) -> None:
    folder = Path(trained.config("one").output) / "one"
    check_database(trained, folder / "tables", 1.0)
    assert json.loads((folder / "manifest.json").read_text())["problems"] == []


def test_columns_are_those_of_the_source(trained: Trained) -> None:
    folder = Path(trained.config("one").output) / "one" / "tables"
    for name, real in trained.real.tables.items():
        assert trained.table(folder, name).dtypes == real.dtypes


def test_both_readers_agree(trained: Trained) -> None:
    folder = Path(trained.config("one").output) / "one" / "tables"
    for name in trained.schema.tables:
        spark = trained.table(folder, name)
        other = DeltaTable(folder / name).to_pyarrow_table()
        assert other.num_rows == spark.count() and other.column_names == spark.columns
        if other.num_rows <= READ_WHOLE:
            path = folder.parent / f"{name}.parquet"
            pq.write_table(other, path)
            assert digest(trained.spark.read.parquet(str(path))) == digest(spark)


def test_nothing_real_is_given_away(trained: Trained) -> None:
    folder = Path(trained.config("one").output) / "one" / "tables"
    for name, table in trained.schema.tables.items():
        if table.reference:
            continue
        secret = {c for c, v in table.columns.items() if v.kind in (Kind.TEXT, Kind.PII)}
        secret |= set(table.primary_key) if len(table.primary_key) == 1 else set()
        for column in secret - table.foreign_key_columns():
            real = trained.real.tables[name].select(F.col(quote(column)).alias("v")).dropna()
            made = trained.table(folder, name).select(F.col(quote(column)).alias("v"))
            assert made.join(real, "v", "left_semi").isEmpty(), (name, column)


def test_partitions_and_seed(trained: Trained) -> None:
    first = Path(trained.config("one").output) / "one" / "tables"
    expected = {t: digest(trained.table(first, t)) for t in trained.schema.tables}
    for partitions in (1, 2, 7):
        folder = trained.made(f"p{partitions}", generate__partitions=partitions)
        assert {t: digest(trained.table(folder, t)) for t in expected} == expected
    run_id = json.loads((first.parent / "manifest.json").read_text())["run_id"]
    folder = pipeline.generate(trained.config("seed", seed=1), run_id) / "tables"
    assert {t: digest(trained.table(folder, t)) for t in expected} != expected


@pytest.mark.parametrize("ratio", [0.5, 3, 10])
def test_ratios(trained: Trained, ratio: float) -> None:
    check_database(trained, trained.made(f"r{ratio}", generate__ratio=ratio), ratio)
