"""Orphans that are kept need keys that no row of the parent has: which keys can be made up, told before training."""

from __future__ import annotations

from spark_synth.errors import UserError
from spark_synth.schema.model import ForeignKey, Kind, Schema


def check_kept_orphans(schema: Schema) -> None:
    """Refuse foreign keys with kept orphans whose keys cannot be made up, or on which another foreign key hangs."""
    for name, table in schema.tables.items():
        for fk in () if table.reference else table.foreign_keys:
            if fk.kept_orphans:
                _check(schema, name, fk)


def _check(schema: Schema, name: str, fk: ForeignKey) -> None:
    keeps = f"foreign key {fk.name} of table {name!r} keeps {fk.kept_orphans:,} orphans"
    hanging = [other.name for other in schema.tables[name].foreign_keys if other.implied == fk.name]
    if hanging:
        raise UserError(f"{keeps}, but {hanging[0]} follows from it and would not resolve: set orphans: null or drop")
    if schema.tables[fk.parent].reference or fk.implied:
        return
    for column in fk.parent_columns:
        if not _is_made(schema, fk.parent, column, set()):
            raise UserError(
                f"{keeps}, but {fk.parent}.{column} is no key that others could be made like: "
                "declare it as kind key, or set orphans: null or drop"
            )


def _is_made(schema: Schema, name: str, column: str, seen: set[tuple[str, str]]) -> bool:
    """Whether the values of a column are keys that are made, there or in the table that it takes them from."""
    table = schema.tables[name]
    onward = [fk for fk in table.foreign_keys if column in fk.columns and not fk.implied]
    if onward and (name, column) not in seen:
        there = dict(zip(onward[0].columns, onward[0].parent_columns, strict=True))
        return _is_made(schema, onward[0].parent, there[column], seen | {(name, column)})
    kind = table.columns[column].kind
    return not onward and (kind is Kind.KEY or (column in table.primary_key and kind in (Kind.TEXT, Kind.PII)))
