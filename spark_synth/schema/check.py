"""Structural validation of a schema: everything that can be known to be wrong before any data is read."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from spark_synth.errors import UserError
from spark_synth.schema.model import ForeignKey, Kind, Schema, Table

INTEGERS = ("tinyint", "smallint", "int", "bigint")
UUID = r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"
_TYPES = (*INTEGERS, "float", "double", "boolean", "string", "date", "timestamp", "timestamp_ntz")
_DECIMAL = re.compile(r"decimal\((\d+),(\d+)\)")


def suggestion(name: str, known: Iterable[str]) -> str:
    """ " (did you mean 'x'?)" for the nearest known name, or the empty string where none is near."""
    choices = list(known)
    folded = {c.lower(): c for c in choices}
    near = difflib.get_close_matches(name.lower(), folded, n=1)
    return f" (did you mean {folded[near[0]]!r}?)" if near else ""


def is_type(text: str) -> bool:
    """Whether `text` is a Spark simple type string that columns may have."""
    decimal = _DECIMAL.fullmatch(text)
    if decimal:
        precision, scale = (int(g) for g in decimal.groups())
        return 1 <= precision <= 38 and scale <= precision
    return text in _TYPES


def type_class(text: str) -> str:
    """Types of one class hold comparable key values: all integer widths, and decimals without a fraction."""
    decimal = _DECIMAL.fullmatch(text)
    whole = decimal is not None and decimal[2] == "0"
    return "integer" if whole or text in INTEGERS else text


def check_schema(schema: Schema) -> None:
    """Refuse a schema that contradicts itself; one UserError naming table, column and what to do."""
    if not schema.tables:
        raise UserError("the schema has no tables: declare at least one under 'tables'")
    for name, table in schema.tables.items():
        _check_names(name, table)
        _check_columns(name, table)
        _check_primary_key(name, table)
        _check_owner(name, table)
        for fk in table.foreign_keys:
            _check_foreign_key(schema, name, fk)


def _check_names(name: str, table: Table) -> None:
    if not name or re.search(r"[/\\]", name):
        raise UserError(f"table {name!r}: a table name must not be empty or hold a slash")
    if not table.columns:
        raise UserError(f"table {name!r} has no columns: list them under 'columns'")
    seen: dict[str, str] = {}
    for column in table.columns:
        twin = seen.setdefault(column.lower(), column)
        if twin != column:
            raise UserError(f"columns {name}.{twin} and {name}.{column} differ only in case: rename one of them")


def _check_columns(name: str, table: Table) -> None:
    for column, spec in table.columns.items():
        if spec.type is not None and not is_type(spec.type):
            raise UserError(
                f"column {name}.{column}: unknown type {spec.type!r}{suggestion(spec.type, _TYPES)}: "
                f"use one of {', '.join(_TYPES)}, decimal(p,s)"
            )
        if spec.format is not None and spec.kind is not Kind.DATETIME:
            raise UserError(f"column {name}.{column}: 'format' is for kind datetime, not {spec.kind}: remove it")
        if spec.provider is not None and spec.kind is not Kind.PII:
            raise UserError(f"column {name}.{column}: 'provider' is for kind pii, not {spec.kind}: remove it")


def _check_primary_key(name: str, table: Table) -> None:
    for column in table.primary_key:
        if column not in table.columns:
            raise UserError(
                f"primary key column {name}.{column} is not among the table's columns"
                f"{suggestion(column, table.columns)}: correct primary_key or declare the column"
            )
    if len(set(table.primary_key)) != len(table.primary_key):
        raise UserError(f"table {name!r}: primary_key names a column twice")


def _check_owner(name: str, table: Table) -> None:
    owners = [fk.name for fk in table.foreign_keys if fk.owner]
    if len(owners) > 1:
        raise UserError(f"table {name!r} names {len(owners)} owners ({', '.join(owners)}): keep owner: true on one")
    names = [fk.name for fk in table.foreign_keys]
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise UserError(f"table {name!r} has two foreign keys named {twice[0]!r}: give one of them another name")


def _check_foreign_key(schema: Schema, name: str, fk: ForeignKey) -> None:
    if fk.parent not in schema.tables:
        raise UserError(
            f"foreign key {fk.name} of table {name!r} references unknown table {fk.parent!r}"
            f"{suggestion(fk.parent, schema.tables)}: correct 'parent' or declare the table"
        )
    child, parent = schema.tables[name], schema.tables[fk.parent]
    _check_key_columns(child, name, parent, fk)
    if child.reference and not parent.reference:
        raise UserError(
            f"foreign key {fk.name} of table {name!r}, which keeps its real rows (reference: true), leads to "
            f"{fk.parent!r}, whose rows are made anew: mark {fk.parent!r} reference: true too, or {name!r} no longer"
        )
    for ours, theirs in zip(fk.columns, fk.parent_columns, strict=True):
        check_same_type(name, ours, child.columns[ours].type, fk, theirs, parent.columns[theirs].type)


def _check_key_columns(child: Table, name: str, parent: Table, fk: ForeignKey) -> None:
    """Refuse a foreign key whose columns do not pair up, one by one and in order, with those that it references."""
    if not fk.columns or not fk.parent_columns:
        raise UserError(
            f"foreign key {fk.name} of table {name!r} names no columns: give 'columns' and, "
            f"where table {fk.parent!r} has no primary key, 'parent_columns'"
        )
    if len(fk.columns) != len(fk.parent_columns):
        raise UserError(
            f"foreign key {fk.name} of table {name!r} has {len(fk.columns)} columns, but references "
            f"{len(fk.parent_columns)} of {fk.parent} ({', '.join(fk.parent_columns)}): name as many on both sides"
        )
    for table, table_name, columns in ((child, name, fk.columns), (parent, fk.parent, fk.parent_columns)):
        for column in columns:
            if column not in table.columns:
                raise UserError(
                    f"foreign key {fk.name} of table {name!r} uses unknown column {table_name}.{column}"
                    f"{suggestion(column, table.columns)}: correct the key or declare the column"
                )
    if fk.columns != fk.parent_columns and set(fk.columns) == set(fk.parent_columns):
        ours, theirs = ", ".join(fk.columns), ", ".join(fk.parent_columns)
        raise UserError(
            f"foreign key {fk.name} of table {name!r} lists ({ours}) against ({theirs}) of {fk.parent}: "
            "name the columns of both sides in the same order"
        )


def check_same_type(
    table: str, column: str, type_: str | None, fk: ForeignKey, parent_column: str, parent_type: str | None
) -> None:
    """Refuse a foreign key column whose type cannot hold the values of the key that it references."""
    if type_ and parent_type and type_class(type_) != type_class(parent_type):
        raise UserError(
            f"foreign key column {table}.{column} is {type_}, but {fk.parent}.{parent_column}, which it references, "
            f"is {parent_type}: give both the same type"
        )
