"""A real MariaDB: written to with all constraints on, and read back with its types."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from pyspark.sql import SparkSession
from sqlalchemy.engine import URL, make_url

from spark_synth.config import RunConfig
from spark_synth.errors import RunError, UserError
from spark_synth.pipeline.export import Order, Written, export_database
from spark_synth.pipeline.source import local_source, packages_of, take_snapshot
from spark_synth.progress import Progress
from spark_synth.schema import Schema
from spark_synth.sinks.ddl import Origin
from tests.servers import mariadb

FORM = "id bigint, `select` decimal(10,2), word string, at timestamp_ntz, born date, ok boolean, up bigint"


@pytest.fixture(scope="module")
def server() -> Iterator[URL]:
    """An empty database."""
    with mariadb() as address:
        yield make_url(address)


def _written(spark: SparkSession, orphan: bool = False) -> Written:
    kinds = {"select": "numeric", "word": "text", "at": "datetime", "born": "datetime", "ok": "boolean"}
    schema = Schema().add_table("a b", "id", kinds)
    schema.add_foreign_key("a b.up", "a b.id").add_table("c", ["of", "n"]).add_foreign_key("c.of", "a b.id")
    at = datetime.datetime(2020, 5, 1, 12, 30)
    rows = [(i, i + 0.25, f"it's {i}", at, at.date(), i % 2 == 0, i - 1 if i else None) for i in range(300)]
    frame = spark.createDataFrame(rows, FORM.replace("decimal(10,2)", "double"))
    frame = frame.withColumn("select", frame["select"].cast("decimal(10,2)"))
    child = spark.range(900).selectExpr(f"id % {400 if orphan else 300} as of", "cast(id as int) as n")
    return Written({"a b": frame.repartition(2), "c": child}, schema, Origin())


def test_there_and_back_again(spark: SparkSession, server: URL, tmp_path: Path) -> None:
    address = server.render_as_string(hide_password=False)
    export_database(_written(spark), Order(address, "s_"), Progress())
    engine = sa.create_engine(server)
    found = sa.inspect(engine)
    assert set(found.get_table_names()) == {"s_a b", "s_c"}
    assert [k["referred_table"] for t in ("s_a b", "s_c") for k in found.get_foreign_keys(t)] == ["s_a b"] * 2
    with pytest.raises(UserError, match="has a table s_a b already"):
        export_database(_written(spark), Order(address, "s_"), Progress())
    with pytest.raises(RunError, match="foreign key constraint") as failed:
        export_database(_written(spark, orphan=True), Order(address, "s_", replace=True), Progress())
    assert "geheim" not in str(failed.value)
    assert set(sa.inspect(engine).get_table_names()) == {"s_a b", "s_c"}
    export_database(_written(spark), Order(address, "s_", replace=True), Progress())
    plain = {"source": {"url": address}, "schema": str(tmp_path / "s.yaml"), "output": str(tmp_path / "out")}
    config = local_source(RunConfig.model_validate(plain))
    assert packages_of(config.source) == ["org.mariadb.jdbc:mariadb-java-client:3.5.1"]
    notes: list[str] = []
    copied = take_snapshot(spark, config, notes.append)
    assert any("keep others from writing" in n for n in notes)
    rows = spark.read.format("delta").load(f"{copied.source.path}/s_a b")
    types = {f.name: f.dataType.simpleString() for f in rows.schema}
    assert (types["select"], types["at"], types["born"]) == ("decimal(10,2)", "timestamp_ntz", "date")
    row = rows.where("id = 2").first()
    assert row is not None and rows.count() == 300
    at = datetime.datetime(2020, 5, 1, 12, 30)
    assert (row["word"], row["at"], bool(row["ok"]), row["up"]) == ("it's 2", at, True, 1)
    engine.dispose()
