"""What a database declares of its tables: columns, types, keys and the other constraints, as plain data.

Reflected by SQLAlchemy, kept beside a snapshot as JSON, and made into tables again when data is written back, perhaps
to another kind of database. So types are the generic ones of SQLAlchemy.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.types import TypeEngine

from spark_synth.whole import write_json

_PARTS = ("length", "precision", "scale", "timezone")  # of a type, those that are kept


@dataclass(frozen=True)
class DeclaredKeys:
    """What a source says of a table's keys: the columns of the primary key; of each foreign key its columns, the parent
    and the parent's columns (empty: those of its primary key); and other sets of columns that are unique."""

    primary: tuple[str, ...] = ()
    foreign: tuple[tuple[tuple[str, ...], str, tuple[str, ...]], ...] = ()
    unique: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class DeclaredColumn:
    """type: name of a generic SQLAlchemy type, and its parts; see `type_of`."""

    name: str
    type: dict[str, Any]
    nullable: bool = True


@dataclass(frozen=True)
class DeclaredTable:
    """A table as its database declares it. checks: SQL conditions in the words of that database; indexes: columns, and
    whether they are unique."""

    columns: tuple[DeclaredColumn, ...]
    keys: DeclaredKeys = field(default_factory=DeclaredKeys)
    checks: tuple[str, ...] = ()
    indexes: tuple[tuple[tuple[str, ...], bool], ...] = ()

    def column(self, name: str) -> DeclaredColumn | None:
        """The column of that name."""
        return next((c for c in self.columns if c.name == name), None)


def reflect(connection: Connection, namespace: str | None) -> dict[str, DeclaredTable]:
    """All tables of a namespace (None: the one that the connection starts in), by name."""
    inspector = sa.inspect(connection)
    return {name: _table(inspector, name, namespace) for name in sorted(inspector.get_table_names(namespace))}


def save_declared(tables: Mapping[str, DeclaredTable], dialect: str, path: Path) -> None:
    """Write them, with the kind of database that they come from, as JSON."""
    write_json(path, {"dialect": dialect, "tables": {name: asdict(t) for name, t in tables.items()}}, indent=1)


def load_declared(path: Path) -> tuple[dict[str, DeclaredTable], str]:
    """The inverse of `save_declared`."""
    plain = json.loads(path.read_text(encoding="utf-8"))
    return {name: _loaded(t) for name, t in plain["tables"].items()}, plain["dialect"]


def type_of(told: Mapping[str, Any]) -> TypeEngine[Any]:
    """The SQLAlchemy type of a declared column."""
    parts = {k: v for k, v in told.items() if k in _PARTS}
    if told["name"] == "Enum":
        return sa.Enum(*told["values"], name=told.get("enum") or None)
    if told["name"] == "ARRAY":
        return sa.ARRAY(type_of(told["item"]))
    if told["name"] == "Uuid":
        return sa.Uuid(as_uuid=False)
    made: TypeEngine[Any] = getattr(sa.types, told["name"])(**parts)
    return made


def described(type_: TypeEngine[Any]) -> dict[str, Any]:
    """A type as plain data; what has no generic form is text."""
    if isinstance(type_, sa.Enum) and type_.enums:
        return {"name": "Enum", "values": list(type_.enums), "enum": type_.name}
    if isinstance(type_, sa.ARRAY):
        return {"name": "ARRAY", "item": described(type_.item_type)}
    if isinstance(type_, sa.CHAR):
        return _parts("CHAR", type_)
    base = getattr(type_, "data_type", type_)  # a domain has the type that it is made from
    try:
        generic = base.as_generic()
    except NotImplementedError:
        return {"name": "Text"}
    name = type(generic).__name__
    return _parts(name, generic) if hasattr(sa.types, name) else {"name": "Text"}


def _parts(name: str, type_: TypeEngine[Any]) -> dict[str, Any]:
    found = {part: getattr(type_, part, None) for part in _PARTS}
    if name in ("Float", "Double"):
        found["scale"] = found["precision"] = None
    return {"name": name, **{part: value for part, value in found.items() if value is not None}}


def _table(inspector: sa.Inspector, name: str, namespace: str | None) -> DeclaredTable:
    columns = [
        DeclaredColumn(c["name"], described(c["type"]), bool(c["nullable"]))
        for c in inspector.get_columns(name, namespace)
    ]
    primary = tuple(inspector.get_pk_constraint(name, namespace)["constrained_columns"])
    foreign = tuple(
        (tuple(k["constrained_columns"]), k["referred_table"], tuple(k["referred_columns"]))
        for k in inspector.get_foreign_keys(name, namespace)
        if k["referred_schema"] in (namespace, None)
    )
    unique = {tuple(u["column_names"]) for u in inspector.get_unique_constraints(name, namespace)}
    found = [
        (tuple(str(c) for c in i["column_names"]), bool(i["unique"]))
        for i in inspector.get_indexes(name, namespace)
        if all(i["column_names"])  # an index of expressions is left out
    ]
    unique |= {columns_ for columns_, is_unique in found if is_unique}
    indexes = tuple(dict.fromkeys((c, False) for c, is_unique in found if not is_unique))
    checks = tuple(str(c["sqltext"]) for c in inspector.get_check_constraints(name, namespace))
    return DeclaredTable(tuple(columns), DeclaredKeys(primary, foreign, tuple(sorted(unique))), checks, indexes)


def _loaded(plain: Mapping[str, Any]) -> DeclaredTable:
    keys = plain["keys"]
    foreign = tuple((tuple(own), parent, tuple(theirs)) for own, parent, theirs in keys["foreign"])
    return DeclaredTable(
        tuple(DeclaredColumn(**c) for c in plain["columns"]),
        DeclaredKeys(tuple(keys["primary"]), foreign, tuple(map(tuple, keys["unique"]))),
        tuple(plain["checks"]),
        tuple((tuple(columns), unique) for columns, unique in plain["indexes"]),
    )
