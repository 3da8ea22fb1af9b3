"""Rows written back to a real PostgreSQL server, SQLite and files: whole and valid, or not at all."""

from __future__ import annotations

import datetime
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest
import sqlalchemy as sa
from pyspark.sql import DataFrame, SparkSession
from sqlalchemy.engine import URL, make_url

from spark_synth.config import SourceSettings
from spark_synth.errors import RunError, UserError
from spark_synth.pipeline.export import Order, Written, ddl, export_database
from spark_synth.progress import Progress
from spark_synth.schema import Schema, from_sdv
from spark_synth.servers.declared import DeclaredColumn, DeclaredKeys, DeclaredTable
from spark_synth.sinks.ddl import Origin
from spark_synth.sources import open_database
from tests.servers import postgres

BOSS, ITEM = 'b"oss; --', "order"
COLUMNS = (
    DeclaredColumn("id", {"name": "BigInteger"}, False),
    DeclaredColumn("select", {"name": "Numeric", "precision": 10, "scale": 2}, False),
    DeclaredColumn("mood", {"name": "Enum", "values": ["ok", "bad"], "enum": "mood"}, False),
    DeclaredColumn("at", {"name": "DateTime", "timezone": True}),
    DeclaredColumn("clock", {"name": "Time"}),
    DeclaredColumn("told", {"name": "JSON"}),
    DeclaredColumn("tags", {"name": "ARRAY", "item": {"name": "Text"}}),
    DeclaredColumn("mark", {"name": "Uuid"}),
    DeclaredColumn("code", {"name": "CHAR", "length": 4}),
    DeclaredColumn("deputy", {"name": "Integer"}),
    DeclaredColumn("raw", {"name": "LargeBinary"}, False),
)
ORIGIN = Origin(
    {BOSS: DeclaredTable(COLUMNS, DeclaredKeys(("id",), (), (("code",),)), ('"select" > 0',), ((("at",), False),))},
    "postgresql",
)


@pytest.fixture(scope="module")
def server() -> Iterator[URL]:
    """An empty database whose address has a password."""
    with postgres() as address:
        yield make_url(address).set(drivername="postgresql", password="geheim77")


def _schema() -> Schema:
    kinds = {"select": "numeric", "mood": "categorical", "at": "datetime", "clock": "datetime", "told": "text"}
    kinds |= {"tags": "text", "mark": "text", "code": "text"}
    schema = Schema().add_table(BOSS, "id", kinds).add_table(ITEM, ["of", "n"], {"n": "numeric", "weight": "numeric"})
    schema.tables[BOSS].columns["deputy"] = schema.tables[BOSS].columns["id"]
    return schema.add_foreign_key(f"{ITEM}.of", f"{BOSS}.id").add_foreign_key(f"{BOSS}.deputy", f"{BOSS}.id")


def _tables(spark: SparkSession, orphan: bool = False, repeated: bool = False) -> dict[str, DataFrame]:
    at = datetime.datetime(2020, 5, 1, 12, 30)
    rows = [
        (i, Decimal(i + 1), "ok" if i % 2 else "odd", at, at, '{"k": 1}' if i % 2 else "no json, \"quoted\"",
         "{a,b}" if i % 2 else 'x"y', f"{i:08d}-0000-4000-a000-000000000000" if i % 2 else "none",
         "same" if repeated else f"c{i}", i - 1 if i else None)
        for i in range(300)
    ]  # fmt: skip
    form = "id bigint, `select` decimal(10,2), mood string, at timestamp, clock timestamp, told string, tags string, "
    boss = spark.createDataFrame(rows, form + "mark string, code string, deputy int").repartition(3)
    item = spark.range(900).selectExpr(
        f"id % {400 if orphan else 300} as of", "cast(id as int) as n", "id / 2.0 as weight"
    )
    return {BOSS: boss, ITEM: item.withColumn("of", item["of"].cast("bigint"))}


def _written(spark: SparkSession, orphan: bool = False, repeated: bool = False) -> Written:
    return Written(_tables(spark, orphan, repeated), _schema(), ORIGIN)


def _text(url: URL) -> str:
    return url.render_as_string(hide_password=False)


def test_a_server_holds_the_rows_against_every_constraint(spark: SparkSession, server: URL) -> None:
    export_database(_written(spark), Order(_text(server), "s_"), Progress())
    engine = sa.create_engine(server.set(drivername="postgresql+psycopg"))
    found = sa.inspect(engine)
    assert set(found.get_table_names()) == {f"s_{BOSS}", f"s_{ITEM}"}
    assert found.get_pk_constraint(f"s_{ITEM}")["constrained_columns"] == ["of", "n"]
    assert {k["referred_table"] for t in (BOSS, ITEM) for k in found.get_foreign_keys(f"s_{t}")} == {f"s_{BOSS}"}
    assert [u["column_names"] for u in found.get_unique_constraints(f"s_{BOSS}")] == [["code"]]
    assert len(found.get_check_constraints(f"s_{BOSS}")) == 1 and len(found.get_indexes(f"s_{BOSS}")) == 2
    types = {c["name"]: type(c["type"]).__name__ for c in found.get_columns(f"s_{BOSS}")}
    expected = {"mood": "ENUM", "told": "JSON", "tags": "ARRAY", "mark": "UUID", "clock": "TIME", "raw": "BYTEA"}
    assert expected.items() <= types.items()
    table = sa.Table(f"s_{BOSS}", sa.MetaData(), autoload_with=engine)
    with engine.connect() as connection:
        rows = {r.id: r for r in connection.execute(sa.select(table))}
        assert connection.scalar(sa.text('SELECT count(*) FROM "s_order"')) == 900
    assert len(rows) == 300
    one, two = rows[1], rows[2]
    assert (one.select, one.mood, one.told, one.tags, one.code) == (Decimal(2), "ok", {"k": 1}, ["a", "b"], "c1  ")
    assert one.clock == datetime.time(12, 30) and one.at.timestamp() == 1588336200
    assert (two.mood, two.told, two.tags, rows[0].deputy) == ("ok", ['no json, "quoted"'], ['x"y'], None)
    with pytest.raises(UserError, match="has a table s_b.* already: use --replace"):
        export_database(_written(spark), Order(_text(server), "s_"), Progress())
    export_database(_written(spark), Order(_text(server), "s_", replace=True), Progress())
    engine.dispose()


@pytest.mark.parametrize("wrong", ["orphan", "repeated"])
def test_what_a_server_refuses_leaves_it_as_it_was(spark: SparkSession, server: URL, wrong: str) -> None:
    engine = sa.create_engine(server.set(drivername="postgresql+psycopg"))
    export_database(_written(spark), Order(_text(server), "t_", replace=True), Progress())
    with pytest.raises(RunError) as failed:
        export_database(_written(spark, **{wrong: True}), Order(_text(server), "t_", replace=True), Progress())
    told = str(failed.value)
    assert "\n" not in told and "geheim" not in told and ("t_order" in told or "t_b" in told)
    found = sa.inspect(engine)
    assert {f"t_{BOSS}", f"t_{ITEM}"} <= set(found.get_table_names())
    assert not [t for t in found.get_table_names() if t.startswith("loading")]
    with engine.connect() as connection:
        assert connection.scalar(sa.text('SELECT count(*) FROM "t_order"')) == 900
    with pytest.raises(RunError):
        export_database(_written(spark, **{wrong: True}), Order(_text(server), "e_"), Progress())
    enums = {e["name"][:2] for e in sa.inspect(engine).get_enums()}  # type: ignore[attr-defined]
    assert "t_" in enums and "e_" not in enums
    engine.dispose()


def test_the_statements_alone_make_the_same_tables(spark: SparkSession, server: URL) -> None:
    engine = sa.create_engine(server.set(drivername="postgresql+psycopg"))
    text = ddl(_written(spark), Order(_text(server), "d_"))
    with engine.begin() as connection:
        for statement in text.split(";\n"):
            if statement.strip():
                connection.exec_driver_sql(statement.replace("%", "%%"))
    assert {f"d_{BOSS}", f"d_{ITEM}"} <= set(sa.inspect(engine).get_table_names())
    engine.dispose()


def test_a_sqlite_file_takes_all_tables_or_none(spark: SparkSession, tmp_path: Path) -> None:
    path = tmp_path / "a b.db"
    with pytest.raises(RunError, match="100 rows refer to no row of|rows refer to no row of"):
        export_database(_written(spark, orphan=True), Order(str(path), "s_"), Progress())
    assert not path.exists()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE other (a)")
    export_database(_written(spark), Order(str(path), "s_"), Progress())
    with pytest.raises(UserError, match="has a table s_b.* already: use --replace"):
        export_database(_written(spark), Order(str(path), "s_"), Progress())
    with pytest.raises(RunError, match="UNIQUE constraint failed"):
        export_database(_written(spark, repeated=True), Order(str(path), "s_", replace=True), Progress())
    with closing(sqlite3.connect(path)) as connection:
        names = {n for (n,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        assert names == {"other", f"s_{BOSS}", f"s_{ITEM}"}
        rows = 'SELECT "select", mood, at, clock, told, mark FROM "s_b""oss; --" WHERE id = 1'
        assert connection.execute(rows).fetchone() == (
            2.0,
            "ok",
            "2020-05-01 12:30:00.000000",
            "12:30:00.000000",
            '{"k": 1}',
            "00000001-0000-4000-a000-000000000000",
        )
        connection.execute("PRAGMA foreign_keys = ON")
        with pytest.raises(sqlite3.IntegrityError):
            connection.execute('INSERT INTO "s_order" VALUES (9999, 1, 1)')


@pytest.mark.parametrize("format_", ["csv", "parquet"])
def test_files_are_a_source_again(spark: SparkSession, tmp_path: Path, format_: str) -> None:
    folder = tmp_path / "files"
    schema = Schema().add_table("a", "id", {"t": "text"}).add_table("b", "id").add_foreign_key("b.a", "a.id")
    frames = {
        "a": spark.createDataFrame([(i, f'say "{i}",\nplease') for i in range(50)], "id int, t string"),
        "b": spark.range(500).selectExpr("id", "cast(id % 50 as int) as a").repartition(2),
    }
    export_database(Written(frames, schema, Origin()), Order(f"{format_}:{folder}", "s_"), Progress())
    again = from_sdv(json.loads((folder / "metadata.json").read_text()))
    assert (folder / f"s_b.{format_}").is_dir() and (folder / f"s_a.{format_}").exists()
    database = open_database(spark, SourceSettings(path=str(folder), format=format_), again, 0)
    assert database.rows == {"s_a": 50, "s_b": 500} and not any(database.orphans.values())
    assert sorted(r["t"] for r in database.tables["s_a"].collect()) == sorted(r["t"] for r in frames["a"].collect())
    with pytest.raises(UserError, match="is there already: --replace"):
        export_database(Written(frames, schema, Origin()), Order(f"{format_}:{folder}", "s_"), Progress())
    export_database(Written(frames, schema, Origin()), Order(f"{format_}:{folder}", "s_", replace=True), Progress())


def test_places_that_are_none_are_refused(spark: SparkSession) -> None:
    with pytest.raises(UserError, match=r"--to x.txt: not a place to write to; use an address"):
        export_database(_written(spark), Order("x.txt", "s_"), Progress())
