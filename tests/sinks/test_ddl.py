from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import mssql, mysql, oracle, postgresql, sqlite

from spark_synth.schema import Schema
from spark_synth.servers.declared import DeclaredColumn, DeclaredKeys, DeclaredTable, described, type_of
from spark_synth.sinks.ddl import Design, Origin, design


def _schema() -> Schema:
    schema = Schema().add_table('ev"il', "id", {"select": "text", "of": "datetime"}).add_table("child", "id")
    return schema.add_foreign_key("child.up", 'ev"il.id').add_foreign_key('ev"il.last', "child.id")


TYPES = {
    'ev"il': {"id": "bigint", "select": "string", "of": "timestamp_ntz", "last": "int"},
    "child": {"id": "int", "up": "bigint"},
}


POSTGRESQL: sa.Dialect = postgresql.dialect()  # type: ignore[no-untyped-call]


def _design(dialect: sa.Dialect, origin: Origin | None = None) -> Design:
    return design(_schema(), TYPES, origin or Origin(), dialect, {t: f"s_{t}" for t in TYPES}, "s_")


@pytest.mark.parametrize("dialect", [postgresql, mysql, mssql, oracle, sqlite], ids=lambda d: d.__name__.split(".")[-1])
def test_every_kind_of_database_gets_statements(dialect: Any) -> None:  # noqa: ANN401 - a module of SQLAlchemy
    made = _design(dialect.dialect())
    text = ";\n".join(made.statements(dialect.dialect()))
    assert text.count("CREATE TABLE") == 2 and text.count("FOREIGN KEY") == 2 and text.count("CREATE INDEX") == 2
    if dialect is not sqlite:  # which takes foreign keys with the table alone, to tables that are not there yet, too
        assert text.index("ADD FOREIGN KEY") > text.rindex("CREATE TABLE")


def test_sqlite_takes_a_cycle_and_odd_names() -> None:
    engine = sa.create_engine("sqlite://")
    made = _design(engine.dialect)
    made.metadata.create_all(engine)
    inspector = sa.inspect(engine)
    assert set(inspector.get_table_names()) == {'s_ev"il', "s_child"}
    (key,) = inspector.get_foreign_keys('s_ev"il')
    assert key["referred_table"] == "s_child"


def test_what_the_source_declares_comes_first() -> None:
    columns = (
        DeclaredColumn("id", {"name": "BigInteger"}, False),
        DeclaredColumn("select", {"name": "Enum", "values": ["a", "b"], "enum": "letter"}, False),
        DeclaredColumn("of", {"name": "Time"}),
        DeclaredColumn("last", {"name": "Integer"}),
        DeclaredColumn("raw", {"name": "LargeBinary"}, False),
    )
    told = DeclaredTable(columns, DeclaredKeys(("id",), (), (("select", "of"),)), ("id > 0",), ((("of",), False),))
    made = _design(POSTGRESQL, Origin({'ev"il': told}, "postgresql"))
    table = made.tables['ev"il']
    assert isinstance(table.c["of"].type, sa.Time) and not table.c["select"].nullable and table.c["raw"].nullable
    assert isinstance(table.c["select"].type, sa.Enum) and table.c["select"].type.name == "s_letter"
    assert any("raw stays empty" in n for n in made.notes)
    text = "\n".join(made.statements(POSTGRESQL))
    assert "CHECK (id > 0)" in text and 'UNIQUE ("select", "of")' in text
    other = _design(sqlite.dialect(), Origin({'ev"il': told}, "postgresql"))
    assert "CHECK (id > 0)" not in "\n".join(other.statements(sqlite.dialect()))
    assert any("1 checks in the words of postgresql are left out" in n for n in other.notes)


@pytest.mark.parametrize(
    "type_",
    [
        sa.Numeric(12, 3),
        sa.BigInteger(),
        sa.DateTime(timezone=True),
        sa.CHAR(6),
        sa.String(20),
        sa.Time(),
        sa.Boolean(),
        sa.Uuid(),
        sa.JSON(),
        sa.ARRAY(sa.Text()),
        sa.Enum("a", "b", name="e"),
    ],
    ids=str,
)
def test_types_survive(type_: sa.types.TypeEngine[object]) -> None:
    again = type_of(described(type_))
    assert repr(again).replace("as_uuid=False", "") == repr(type_)


def test_types_without_a_general_form_are_text() -> None:
    assert described(postgresql.INET()) == {"name": "Text"}
    assert described(postgresql.TSVECTOR()) == {"name": "Text"}
    assert described(mysql.TINYINT()) == {"name": "SmallInteger"} or described(mysql.TINYINT())["name"] == "Integer"
