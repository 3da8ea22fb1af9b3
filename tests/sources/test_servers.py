"""A real PostgreSQL server as a source: types, names, keys, one snapshot, lost connections, secrets."""

from __future__ import annotations

import datetime
import threading
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
import sqlalchemy as sa
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from sqlalchemy.dialects import registry
from sqlalchemy.engine import URL, make_url

from spark_synth.config import RunConfig
from spark_synth.errors import RunError, UserError
from spark_synth.pipeline import source as pipeline_source
from spark_synth.pipeline.source import local_source, packages_of, take_snapshot
from spark_synth.schema import Schema, save_schema
from spark_synth.servers.address import jdbc_options, parse_url, shown
from spark_synth.servers.declared import DeclaredColumn, DeclaredKeys, DeclaredTable, load_declared
from spark_synth.sources import open_database
from spark_synth.sources import snapshot as reading
from spark_synth.sources.listing import DECLARED
from spark_synth.sources.snapshot import in_full
from spark_synth.sources.thinned import Thinned, declared_schema
from tests.servers import postgres

PASSWORD = "geheim/77@x"
AWKWARD = 'x"; drop table y; --'
DDL = """
CREATE TYPE mood AS ENUM ('sad', 'ok', 'it''s');
CREATE TABLE "Odd Names" ("Id" bigint PRIMARY KEY, "select" numeric(12,3) NOT NULL, free numeric, "grün" char(6),
    "a""b" text, born date, at timestamp, zoned timestamptz, t time, ok boolean, u uuid, m mood, tags text[], j jsonb,
    raw bytea, v varchar(20) UNIQUE, ip inet, small smallint, d double precision, CHECK ("select" >= 0));
CREATE TABLE "x""; drop table y; --" (a int, b int, PRIMARY KEY (a, b), parent bigint REFERENCES "Odd Names" ("Id"));
CREATE INDEX by_parent ON "x""; drop table y; --" (parent);
CREATE TABLE nothing (a int);
INSERT INTO "Odd Names" SELECT i, i * 1.5, i / 7.0, 'ab', 'q' || i, date '2020-01-01' + i,
    timestamp '2020-01-01 02:30' + i * interval '1 hour', timestamptz '2020-01-01 02:30+02' + i * interval '1 hour',
    time '10:00' + i * interval '1 second', i % 2 = 0, gen_random_uuid(), 'it''s', ARRAY['a', 'b'], '{"k": 1}', '\\x00',
    'v' || i, '10.0.0.1', i, i FROM generate_series(1, 600) i;
INSERT INTO "x""; drop table y; --" SELECT i, i % 3, i FROM generate_series(1, 100) i;
CREATE ROLE reader LOGIN PASSWORD 'geheim/77@x';
GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader;
"""


@pytest.fixture(scope="module")
def server() -> Iterator[URL]:
    """The address of a database with odd tables, of a user who may only read."""
    with postgres() as address:
        engine = sa.create_engine(address)
        with engine.begin() as connection:
            for statement in DDL.split(";\n"):
                if statement.strip():
                    connection.exec_driver_sql(statement.replace("%", "%%"))
        engine.dispose()
        yield make_url(address).set(drivername="postgresql", username="reader", password=PASSWORD)


def _shown_by_spark(spark: SparkSession) -> str:
    """What the pages of Spark's UI are made of: options, plans and descriptions of all queries so far."""
    session = spark._jsparkSession
    runs = session.sharedState().statusStore().executionsList()
    told = [str(pair) for pair in spark.sparkContext.getConf().getAll()]
    for i in range(runs.size()):
        run = runs.apply(i)
        parts = (run.description(), run.details(), run.physicalPlanDescription(), run.modifiedConfigs())
        told += map(str, parts)  # some queries have no options of their own
    assert any("JDBCRelation" in text for text in told)
    return "\n".join(told)


@pytest.fixture
def config(server: URL, tmp_path: Path) -> RunConfig:
    """A run that reads from there."""
    text = server.render_as_string(hide_password=False)
    plain = {"source": {"url": text}, "schema": str(tmp_path / "s.yaml"), "output": str(tmp_path / "out")}
    return local_source(RunConfig.model_validate(plain))


def test_a_server_is_copied_as_it_is(
    spark: SparkSession, config: RunConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(reading, "ROWS_AT_ONCE", 200)  # so that several sessions read
    notes: list[str] = []
    settled = take_snapshot(spark, config, notes.append)
    folder = Path(settled.source.path)
    odd = spark.read.format("delta").load(str(folder / "Odd Names"))
    assert odd.count() == 600 and odd.select("Id").distinct().count() == 600
    row = odd.where("Id = 2").first()
    assert row is not None
    utc = datetime.datetime
    expected = {
        "select": Decimal("3.000"),
        "free": pytest.approx(2 / 7),
        "grün": "ab",
        'a"b': "q2",
        "born": datetime.date(2020, 1, 3),
        "at": utc(2020, 1, 1, 4, 30),
        "ok": True,
        "m": "it's",
        "tags": "{a,b}",
        "j": '{"k": 1}',
        "v": "v2",
        "small": 2,
        "d": 2.0,
    }
    assert {c: row[c] for c in expected} == expected
    types = {f.name: f.dataType.simpleString() for f in odd.schema}
    assert (types["at"], types["zoned"], types["select"]) == ("timestamp_ntz", "timestamp", "decimal(12,3)")
    assert odd.where("Id = 2 and zoned = timestamp '2020-01-01 02:30:00Z'").count() == 1
    assert "raw" not in odd.columns and any("Odd Names.raw is left out" in n for n in notes)
    assert any("nothing is left out" in n for n in notes)
    assert spark.read.format("delta").load(str(folder / AWKWARD)).count() == 100
    tables, dialect = load_declared(folder / DECLARED)
    assert dialect == "postgresql" and set(tables) == {"Odd Names", AWKWARD}
    awkward = tables[AWKWARD]
    assert awkward.keys.primary == ("a", "b") and awkward.keys.foreign == ((("parent",), "Odd Names", ("Id",)),)
    assert awkward.indexes == ((("parent",), False),)
    assert tables["Odd Names"].keys.unique == (("v",),) and len(tables["Odd Names"].checks) == 1
    assert not any(PASSWORD in f.read_text(errors="replace") for f in folder.rglob("*") if f.is_file())
    assert not any("geheim" in n for n in notes)
    assert "geheim" not in _shown_by_spark(spark)
    again: list[str] = []
    take_snapshot(spark, config, again.append)
    assert "as they were copied at" in again[0]


def test_all_tables_are_read_at_one_moment(
    spark: SparkSession, server: URL, config: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that come in after the snapshot was taken are in no table."""
    owner = server.set(username="postgres", password=None, drivername="postgresql+psycopg")
    measured = reading.measure_table

    def slowly(*args: object) -> object:
        found = measured(*args)  # type: ignore[arg-type]
        with sa.create_engine(owner).begin() as connection:
            connection.exec_driver_sql(
                'INSERT INTO "x""; drop table y; --" SELECT max(a) + 1, 0 FROM "x""; drop table y; --"'
            )
        return found

    monkeypatch.setattr(pipeline_source, "measure_table", slowly)
    settled = take_snapshot(spark, config, lambda _: None)
    assert spark.read.format("delta").load(f"{settled.source.path}/{AWKWARD}").count() == 100
    with sa.create_engine(owner).begin() as connection:
        connection.exec_driver_sql('DELETE FROM "x""; drop table y; --" WHERE a > 100')


def test_a_lost_connection_is_one_line_and_leaves_nothing(
    spark: SparkSession, server: URL, config: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every session of the reading user is ended as long as the copy takes."""
    owner = server.set(username="postgres", password=None, drivername="postgresql+psycopg")
    monkeypatch.setattr(pipeline_source, "PAUSE", 0.1)
    over = threading.Event()

    def cut() -> None:
        ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE '%JDBC%'"
        engine = sa.create_engine(owner, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            while not over.is_set():
                connection.execute(sa.text(ended))
                time.sleep(0.002)
        engine.dispose()

    thread = threading.Thread(target=cut)
    thread.start()
    try:
        with pytest.raises(RunError) as failed:
            take_snapshot(spark, config, lambda _: None)
    finally:
        over.set()
        thread.join()
    told = str(failed.value)
    assert "\n" not in told and PASSWORD not in told and "geheim" not in told
    assert "reading postgresql" in told
    assert not list((Path(config.output) / "_work").glob("snapshot-*"))


def test_wrong_addresses_are_told_without_their_password(spark: SparkSession, server: URL, tmp_path: Path) -> None:
    def copied(url: str) -> None:
        plain = {"source": {"url": url}, "schema": str(tmp_path / "s.yaml"), "output": str(tmp_path / "out")}
        take_snapshot(spark, local_source(RunConfig.model_validate(plain)), lambda _: None)

    with pytest.raises(UserError, match="databases of kind 'access' are not known"):
        copied("access://u:geheim@h/db")
    with pytest.raises(RunError) as failed:
        copied(server.set(password="geheim99", host="127.0.0.1", port=1).render_as_string(hide_password=False))
    assert "geheim" not in str(failed.value) and "reader:***@127.0.0.1" in str(failed.value)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://u:p@h/db", {"url": "jdbc:postgresql://h:5432/db", "user": "u", "password": "p"}),
        ("mysql://u@h:3307/db", {"url": "jdbc:mysql://h:3307/db?permitMysqlScheme=true", "user": "u"}),
        ("mariadb://h/db", {"url": "jdbc:mysql://h:3306/db?permitMysqlScheme=true"}),
        ("mssql+pyodbc://u:p@h/db", {"url": "jdbc:sqlserver://h:1433;databaseName=db", "user": "u", "password": "p"}),
        ("oracle+oracledb://u:p@h/svc", {"url": "jdbc:oracle:thin:@//h:1521/svc", "user": "u", "password": "p"}),
        (
            "snowflake://u:p@acc/db/sch?warehouse=w",
            {
                "url": "jdbc:snowflake://acc.snowflakecomputing.com/?db=db&schema=sch&warehouse=w",
                "user": "u",
                "password": "p",
            },
        ),
    ],
)
def test_spark_goes_by_the_same_address(url: str, expected: dict[str, str]) -> None:
    options = jdbc_options(parse_url(url))
    assert options.pop("driver").count(".") >= 2
    assert options == expected
    assert "p@" not in shown(url)


def test_packages_are_those_of_the_kind_of_database(tmp_path: Path) -> None:
    plain = {"source": {"url": "postgresql://h/db"}, "schema": "s.yaml", "output": str(tmp_path)}
    assert packages_of(RunConfig.model_validate(plain).source) == ["org.postgresql:postgresql:42.7.4"]


SHOP = """
CREATE SCHEMA shop;
CREATE TABLE shop.customers (id int PRIMARY KEY, name text);
CREATE TABLE shop.products (id int PRIMARY KEY, price int);
CREATE TABLE shop.orders (id int PRIMARY KEY, customer int REFERENCES shop.customers, day date, best int);
ALTER TABLE shop.orders ADD FOREIGN KEY (best) REFERENCES shop.customers;
CREATE TABLE shop.lines ("order" int REFERENCES shop.orders, line int, product int REFERENCES shop.products, "50%" int,
    PRIMARY KEY ("order", line));
INSERT INTO shop.customers SELECT i, 'n' || i FROM generate_series(1, 2000) i;
INSERT INTO shop.products SELECT i, i FROM generate_series(1, 50) i;
INSERT INTO shop.orders SELECT i, nullif(i % 2001, 0), date '2020-01-01' + i % 90, 1 + i * 7 % 2000
    FROM generate_series(1, 6000) i;
INSERT INTO shop.lines SELECT 1 + i / 2, i % 2, 1 + i % 50, i FROM generate_series(0, 11999) i;
GRANT USAGE ON SCHEMA shop TO reader;
GRANT SELECT ON ALL TABLES IN SCHEMA shop TO reader;
"""


def test_a_share_is_taken_by_the_server(spark: SparkSession, server: URL, tmp_path: Path) -> None:
    """Whole families come, and a link to a row that did not is NULL once the database is opened."""
    owner = server.set(username="postgres", password=None, drivername="postgresql+psycopg")
    with sa.create_engine(owner).begin() as connection:
        for statement in SHOP.split(";\n"):
            if statement.strip():
                connection.exec_driver_sql(statement.replace("%", "%%"))
    text = server.render_as_string(hide_password=False)
    source = {"url": text, "namespace": "shop", "sample": 0.1}
    plain = {"source": source, "schema": str(tmp_path / "s.yaml"), "output": str(tmp_path / "out")}
    notes: list[str] = []
    schema = Schema().add_table("customers", "id", {"name": "text"}).add_table("products", "id", {"price": "numeric"})
    schema.add_table("orders", "id", {"day": "datetime"}).add_table("lines", ["order", "line"], {"50%": "numeric"})
    schema.add_foreign_key("orders.customer", "customers.id", owner=True).add_foreign_key("orders.best", "customers.id")
    schema.add_foreign_key("lines.order", "orders.id").add_foreign_key("lines.product", "products.id")
    save_schema(schema, tmp_path / "s.yaml")
    settled = take_snapshot(spark, local_source(RunConfig.model_validate(plain)), notes.append)
    raw = {t: spark.read.format("delta").load(f"{settled.source.path}/{t}") for t in schema.tables}
    assert 140 < raw["customers"].count() < 260 and raw["products"].count() == 50
    assert raw["orders"].where("best is null").isEmpty() and 420 < raw["orders"].count() < 780
    database = open_database(spark, settled.source, schema, 0)
    tables = database.tables
    assert tables["lines"].join(tables["orders"], F.col("order") == F.col("id"), "left_anti").isEmpty()
    assert tables["lines"].count() == 2 * tables["orders"].count()
    kept = tables["orders"].where("customer is not null")
    assert kept.join(tables["customers"], F.col("customer") == tables["customers"]["id"], "left_anti").isEmpty()
    known = tables["orders"].where("best is not null").count()
    assert 0 < known < 0.3 * tables["orders"].count()


@pytest.mark.parametrize(
    ("kind", "hashed"),
    [
        ("mysql", "abs(mod(crc32(concat('7', '|', CAST(ns.c.id AS CHAR(255)))), 1000000))"),
        ("mssql", "abs(CAST(checksum('7' + '|' + CAST(ns.c.id AS VARCHAR(255))) AS BIGINT)) % 1000000"),
        ("oracle", "ora_hash('7' || '|' || CAST(ns.c.id AS VARCHAR2(255 CHAR)), 999999)"),
    ],
)
def test_every_server_takes_a_share_in_its_own_words(kind: str, hashed: str) -> None:
    dialect = registry.load(kind)()
    id_ = (DeclaredColumn("id", {"name": "Integer"}),)
    owned = DeclaredTable(id_, DeclaredKeys(("id",), ((("id",), "c", ()),)))
    schema = declared_schema({"c": DeclaredTable(id_, DeclaredKeys(("id",))), "o": owned})
    thinned = Thinned(schema, {"c": 100, "o": 100}, 0.25, 7, dialect.name, "ns")
    table = sa.table("c", sa.column("id"), schema="ns")
    kept = thinned.condition("c", table)
    assert kept is not None
    assert in_full(sa.select(table.c.id).where(kept), dialect).endswith(f"{hashed} < 250000")
    followed = sa.table("o", sa.column("id"), schema="ns")
    told = in_full(sa.select(followed.c.id).where(thinned.condition("o", followed)), dialect)  # type: ignore[arg-type]
    assert "EXISTS (SELECT 1" in told and "ns.o.id = above0.id" in told
