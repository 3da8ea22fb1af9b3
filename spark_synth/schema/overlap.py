"""Foreign keys that share columns: one that follows from another is left to it; of others, the one that is set first
tells which rows the next may lead to (the shipment of an order's line is one of that order)."""

from __future__ import annotations

from itertools import combinations

from spark_synth.errors import UserError
from spark_synth.schema.graph import filled_last
from spark_synth.schema.model import ForeignKey, Orphans, Schema, Table


def mark_shared(schema: Schema) -> None:
    """Mark the foreign keys that follow from another one, and those that are filled last (in place).

    A key follows if all its columns are part of one that leads to the same row: an item of a delivery refers to a line
    of an order, (order, line), and to the order: the line's own key to its order says the same. UserError for keys that
    share columns whose values do not come from one table, for no row would have both.
    """
    for name, table in schema.tables.items():
        for fk in table.foreign_keys:
            fk.implied, fk.last = None, False
        for fk in table.foreign_keys:
            known = [k for k in table.foreign_keys if k.implied != fk.name and not filled_last(name, k)]
            found = [k for k in known if _follows(schema, fk, k)]
            fk.implied = found[0].name if found else None
        free = [] if table.reference else [fk for fk in table.foreign_keys if not fk.implied]
        for a, b in combinations(free, 2):
            for column in sorted(set(a.columns) & set(b.columns)):
                _check(schema, name, column, a, b)
        for fk in free:
            fk.last = any(
                k is not fk and set(k.columns) & set(fk.columns) and schema.tables[k.parent].reference for k in free
            )


def shared_columns(table: Table, fk: ForeignKey) -> set[str]:
    """The columns of a foreign key that others of its table have too."""
    return {c for k in table.foreign_keys if k is not fk for c in k.columns} & set(fk.columns)


def _check(schema: Schema, name: str, column: str, a: ForeignKey, b: ForeignKey) -> None:
    both = f"column {name}.{column} is part of two foreign keys ({a.name}, {b.name})"
    origins = [_origins(schema, k.parent, k.parent_columns[k.columns.index(column)], set()) for k in (a, b)]
    if not origins[0] & origins[1]:
        raise UserError(
            f"{both} whose values do not come from one table: leave one of them out of the schema, or declare the "
            "foreign keys that the values come by"
        )
    if set(a.columns) == set(b.columns):
        raise UserError(f"{both} with the same columns, neither of which follows from the other: leave one of them out")
    if any(schema.tables[k.parent].reference and len(k.columns) > 1 for k in (a, b)):
        raise UserError(
            f"{both}, one of which leads into a reference table by several columns: leave one of them out, or make the "
            "table none of `reference: true`"
        )
    moved = next((k for k in (a, b) if k.parent == name and k.parent_columns[k.columns.index(column)] != column), None)
    if moved:
        raise UserError(
            f"{both}, of which {moved.name} refers to another column of the table itself by it: leave one of them out"
        )
    kept = next((k for k in (a, b) if k.orphans is Orphans.KEEP), None)
    if kept:
        raise UserError(f"{both}, of which {kept.name} keeps orphans: set orphans: null or drop")


def _origins(schema: Schema, table: str, column: str, seen: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """The columns, each with its table, that the values of a column come from: itself, what it refers to, and so on."""
    if (table, column) not in seen:
        seen.add((table, column))
        for fk in schema.tables[table].foreign_keys:
            for c, p in zip(fk.columns, fk.parent_columns, strict=True):
                if c == column:
                    _origins(schema, fk.parent, p, seen)
    return seen


def _follows(schema: Schema, fk: ForeignKey, other: ForeignKey) -> bool:
    """Whether the row that `fk` refers to is known from the one that `other` refers to."""
    if fk is other or not set(fk.columns) <= set(other.columns) or other.partly:
        return False
    there = dict(zip(other.columns, other.parent_columns, strict=True))
    pairs = {(there[c], p) for c, p in zip(fk.columns, fk.parent_columns, strict=True)}
    onward = [k for k in schema.tables[other.parent].foreign_keys if k.parent == fk.parent]
    return any(set(zip(k.columns, k.parent_columns, strict=True)) == pairs for k in onward)
