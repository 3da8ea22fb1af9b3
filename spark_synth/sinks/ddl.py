"""The tables that synthetic rows are written back to: columns, types, keys and constraints, for any kind of database.

What the source declares comes first; where it declares nothing (files), types follow from Spark's and keys from the
schema. SQLAlchemy writes the statements, so all names are quoted as the database has it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeEngine

from spark_synth.errors import UserError
from spark_synth.schema.model import ForeignKey, Kind, Orphans, Schema
from spark_synth.servers.declared import DeclaredColumn, DeclaredTable, type_of

_KEY_LENGTH = 255  # characters of a text in a key, where a database wants to know
_SPARK: dict[str, TypeEngine[Any]] = {
    "tinyint": sa.SmallInteger(),
    "smallint": sa.SmallInteger(),
    "int": sa.Integer(),
    "bigint": sa.BigInteger(),
    "float": sa.Float(),
    "double": sa.Double(),
    "boolean": sa.Boolean(),
    "date": sa.Date(),
    "timestamp": sa.DateTime(timezone=True),
    "timestamp_ntz": sa.DateTime(),
}
_DECIMAL = re.compile(r"decimal\((\d+),(\d+)\)")


@dataclass(frozen=True)
class Origin:
    """What is known of the source: its tables by name, and the kind of database; nothing of files."""

    tables: Mapping[str, DeclaredTable] = field(default_factory=dict)
    dialect: str = ""


@dataclass
class Design:
    """All tables under their names in the target, and what could not be carried over, in words."""

    metadata: sa.MetaData
    tables: dict[str, sa.Table]  # by name in the schema
    notes: list[str]

    def statements(self, dialect: Dialect) -> list[str]:
        """The whole as SQL text: types, tables and indexes; foreign keys last, so cycles do not matter."""
        made: list[str] = []

        def told(statement: sa.DDLElement, *_: object, **__: object) -> None:
            made.append(
                "\n".join(line.rstrip() for line in str(statement.compile(dialect=dialect)).strip().splitlines())
            )

        self.metadata.create_all(sa.create_mock_engine(f"{dialect.name}://", told), checkfirst=False)
        return made

    def existing(self, bind: sa.Engine | sa.Connection, where: str, replace: bool) -> list[str]:
        """Names of those that are there already; UserError where there are any and they are not to be replaced."""
        there = set(sa.inspect(bind).get_table_names(self.metadata.schema))
        found = [t.name for t in self.tables.values() if t.name in there]
        if found and not replace:
            raise UserError(f"{where} has a table {found[0]} already: use --replace, or another --prefix")
        return found

    def keys(self) -> list[sa.Constraint]:
        """Constraints of all tables, foreign keys apart."""
        kinds = (sa.PrimaryKeyConstraint, sa.UniqueConstraint, sa.CheckConstraint)
        found = [k for t in self.tables.values() for k in sorted(t.constraints, key=_order) if isinstance(k, kinds)]
        return [k for k in found if not isinstance(k, sa.PrimaryKeyConstraint) or len(k.columns)]

    def indexes(self) -> list[sa.Index]:
        """Of all tables."""
        return [i for t in self.tables.values() for i in sorted(t.indexes, key=lambda i: str(i.name))]

    def foreign_keys(self) -> list[sa.ForeignKeyConstraint]:
        """Of all tables."""
        found = [k for t in self.tables.values() for k in sorted(t.constraints, key=_order)]
        return [k for k in found if isinstance(k, sa.ForeignKeyConstraint)]


def design(
    schema: Schema,
    types: Mapping[str, Mapping[str, str]],
    origin: Origin,
    dialect: Dialect,
    names: Mapping[str, str],
    prefix: str,
    namespace: str | None = None,
    bare: bool = False,
) -> Design:
    """The tables of a database like that of `schema`.

    types: by table, the Spark type of each column that it has, in order; names: of the tables in the target; prefix:
    of types there; bare: without constraints and indexes.
    """
    made = Design(sa.MetaData(schema=namespace), {}, [])
    for name in types:
        made.tables[name] = sa.Table(
            names[name], made.metadata, *_columns(made, schema, name, types[name], origin, dialect, prefix)
        )
        if not bare:
            _constrain(made, schema, name, origin, dialect)
    for name in () if bare else types:
        for fk in schema.tables[name].foreign_keys:
            _foreign_key(made, name, fk)
    return made


def _columns(
    made: Design,
    schema: Schema,
    name: str,
    types: Mapping[str, str],
    origin: Origin,
    dialect: Dialect,
    prefix: str,
) -> list[sa.Column[Any]]:
    table, told = schema.tables[name], origin.tables.get(name)
    keyed = {*table.primary_key, *table.foreign_key_columns(), *(c for u in _unique(schema, name, told) for c in u)}
    columns: list[sa.Column[Any]] = []
    for column, type_ in types.items():
        declared = told.column(column) if told else None
        plain = table.columns[column].kind is Kind.TEXT
        nullable = column not in table.primary_key and (declared is None or declared.nullable)
        found = _type(declared, type_, column in keyed, plain, dialect, prefix)
        columns.append(sa.Column(column, found, nullable=nullable, autoincrement=False))
    for declared in told.columns if told else ():
        if declared.name not in types:
            made.notes.append(f"{name}.{declared.name} stays empty: its values are not modelled")
            columns.append(sa.Column(declared.name, type_of(declared.type), nullable=True))
    return columns


def _constrain(made: Design, schema: Schema, name: str, origin: Origin, dialect: Dialect) -> None:
    """Keys, checks and indexes of a table, foreign keys apart."""
    table, told, into = schema.tables[name], origin.tables.get(name), made.tables[name]
    if table.primary_key:
        into.append_constraint(sa.PrimaryKeyConstraint(*[into.c[c] for c in table.primary_key]))
    for unique in _unique(schema, name, told):
        into.append_constraint(sa.UniqueConstraint(*[into.c[c] for c in unique]))
    if told and told.checks and origin.dialect == dialect.name:
        for check in told.checks:
            into.append_constraint(sa.CheckConstraint(sa.text(check.replace(":", r"\:"))))
    elif told and told.checks:
        made.notes.append(f"{name}: {len(told.checks)} checks in the words of {origin.dialect} are left out")
    wanted = [i for i, _ in told.indexes] if told else [fk.columns for fk in table.foreign_keys]
    for i, index in enumerate(dict.fromkeys(wanted)):
        if set(index) <= set(into.c.keys()):
            sa.Index(_index_name(into.name, i), *[into.c[c] for c in index])


def _unique(schema: Schema, name: str, told: DeclaredTable | None) -> list[tuple[str, ...]]:
    """Sets of columns that are unique beside the primary key: the declared ones, and whatever foreign keys refer to."""
    primary, known = schema.tables[name].primary_key, schema.tables[name].columns
    wanted = [*(told.keys.unique if told else ()), *(fk.parent_columns for _, fk in schema.children(name))]
    return [u for u in dict.fromkeys(map(tuple, wanted)) if set(u) != set(primary) and set(u) <= set(known)]


def _foreign_key(made: Design, name: str, fk: ForeignKey) -> None:
    if fk.orphans is Orphans.KEEP:
        made.notes.append(f"{name}: foreign key {fk.name} is left out, since orphans are kept")
        return
    if fk.parent not in made.tables:
        return
    parent = made.tables[fk.parent]
    made.tables[name].append_constraint(
        sa.ForeignKeyConstraint(fk.columns, [parent.c[c] for c in fk.parent_columns], use_alter=True)
    )


def _type(
    declared: DeclaredColumn | None, spark: str, keyed: bool, plain: bool, dialect: Dialect, prefix: str
) -> TypeEngine[Any]:
    """The type of a column in the target."""
    if declared is not None:
        told = dict(declared.type)
        if told["name"] == "Enum" and told.get("enum"):
            told["enum"] = prefix + told["enum"]  # a type of its own in PostgreSQL, which may be there already
        elsewhere = told["name"] == "ARRAY" and dialect.name != "postgresql"
        if not elsewhere and not (told["name"] == "Interval" and plain):
            return _with_length(type_of(told), keyed)
        return sa.Text()
    decimal = _DECIMAL.fullmatch(spark)
    if decimal:
        return sa.Numeric(int(decimal[1]), int(decimal[2]))
    return _with_length(_SPARK.get(spark, sa.Text()), keyed)


def _with_length(type_: TypeEngine[Any], keyed: bool) -> TypeEngine[Any]:
    """Texts in keys have a length, without which MySQL takes none."""
    if keyed and isinstance(type_, sa.Text):
        return sa.Text().with_variant(sa.String(_KEY_LENGTH), "mysql", "mariadb", "mssql", "oracle")
    if type(type_) is sa.String and type_.length is None:
        return sa.Text() if not keyed else sa.String(_KEY_LENGTH)
    return type_


def _order(key: sa.Constraint) -> tuple[str, list[str]]:
    """The same in every process; a table has its constraints as a set."""
    columns = [str(c.name) for c in getattr(key, "columns", ())]
    return type(key).__name__, [*columns, str(getattr(key, "sqltext", ""))]


def _index_name(table: str, number: int) -> str:
    """Short enough for every database."""
    return f"ix_{table[:40]}_{number}"
