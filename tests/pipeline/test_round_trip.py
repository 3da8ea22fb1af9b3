"""Real databases on a real PostgreSQL server: discovered, synthesised, exported into one that enforces every key."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url

from spark_synth import pipeline
from spark_synth.config import RunConfig, load_config
from tests.databases import load_folder
from tests.places import CONF
from tests.servers import postgres

PASSWORD = "geheim/77@x"  # which the server does not ask for
SECRETS = ("geheim", "77@x", "77%40x")  # parts of it, spelled as in an address too

pytestmark = [
    pytest.mark.slow,
    pytest.mark.e2e,
    pytest.mark.timeout(2400),
    pytest.mark.usefixtures("spark"),  # whose session has the drivers
]


@pytest.fixture(scope="module")
def server() -> Iterator[URL]:
    """A server with a database to export into, `synth`."""
    with postgres() as address:
        with sa.create_engine(address, isolation_level="AUTOCOMMIT").connect() as connection:
            connection.exec_driver_sql("CREATE DATABASE synth")
        yield make_url(address).set(drivername="postgresql+psycopg")


def _config(source: str, out: Path, cut: str) -> RunConfig:
    options = {"schema": out / "schema.yaml", "output": out, "generate.identifier": "one", "model.family": "copula"}
    told = [f"{k}={v}" for k, v in options.items()] + [source] + ([f"break_edges=[{cut}]"] if cut else [])
    return load_config(CONF, told)


def _synthesise(config: RunConfig, out: Path) -> None:
    pipeline.discover(config, None)
    pipeline.approve(config, out / "schema.yaml")
    pipeline.generate(config, pipeline.train(config))


@pytest.mark.parametrize(("name", "cut"), [("sakila", "staff.store_id"), ("chinook", ""), ("northwind", "")])
def test_from_postgresql_to_postgresql(
    server: URL, shared_data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str, cut: str
) -> None:
    with sa.create_engine(server, isolation_level="AUTOCOMMIT").connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    real = server.set(database=name, password=PASSWORD)
    rows = load_folder(shared_data / name, sa.create_engine(real))
    config = _config(f"source.url={real.render_as_string(hide_password=False)}", tmp_path, cut)
    _synthesise(config, tmp_path)
    target = server.set(database="synth", password=PASSWORD)
    pipeline.export(config, target.render_as_string(hide_password=False), f"{name}_")
    _check(sa.create_engine(real), sa.create_engine(target), rows, f"{name}_")
    told = capfd.readouterr()
    assert not any(word in text for word in SECRETS for text in (told.out, told.err))
    written = [f.read_bytes() for f in tmp_path.rglob("*") if f.is_file()]  # mlflow.db among them
    assert written and not any(word.encode() in text for word in SECRETS for text in written)


@pytest.mark.parametrize(("name", "cut"), [("sakila", "staff.store_id"), ("chinook", ""), ("northwind", "")])
def test_from_sqlite_to_postgresql_and_to_sqlite(
    server: URL, shared_data: Path, tmp_path: Path, name: str, cut: str
) -> None:
    path = tmp_path / "real.db"
    source = sa.create_engine(f"sqlite:///{path}")
    rows = load_folder(shared_data / name, source)
    config = _config(f"source.path={path}", tmp_path, cut)
    _synthesise(config, tmp_path)
    target = server.set(database="synth")
    pipeline.export(config, target.render_as_string(hide_password=False), f"{name}_lite_")
    _check(source, sa.create_engine(target), rows, f"{name}_lite_", checks=False)  # those are in the words of SQLite
    pipeline.export(config, str(tmp_path / "synth.db"), "s_")
    _check(source, sa.create_engine(f"sqlite:///{tmp_path / 'synth.db'}"), rows, "s_")


def _check(real: sa.Engine, synth: sa.Engine, rows: dict[str, int], prefix: str, checks: bool = True) -> None:
    """The same tables, keys and constraints, which the server has held the rows against, and as many rows."""
    before, after = sa.inspect(real), sa.inspect(synth)
    assert {f"{prefix}{t}" for t in rows} <= set(after.get_table_names())
    for table, count in rows.items():
        made = f"{prefix}{table}"
        assert (
            after.get_pk_constraint(made)["constrained_columns"]
            == before.get_pk_constraint(table)["constrained_columns"]
        )
        keys = [
            sorted((tuple(k["constrained_columns"]), k["referred_table"].removeprefix(prefix)) for k in found)
            for found in (before.get_foreign_keys(table), after.get_foreign_keys(made))
        ]
        assert keys[0] == keys[1], table
        unique = [
            {tuple(u["column_names"]) for u in found}
            for found in (before.get_unique_constraints(table), after.get_unique_constraints(made))
        ]
        assert unique[0] == unique[1], table
        told = [len(i.get_check_constraints(t)) for i, t in ((before, table), (after, made))]
        assert not checks or told[0] == told[1], table
        with synth.connect() as connection:
            there = connection.scalar(sa.select(sa.func.count()).select_from(sa.table(made)))
        assert there == pytest.approx(count, rel=0.05), table
