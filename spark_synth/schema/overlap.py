"""Foreign keys that share columns: one that follows from another is left to it, any other overlap is refused."""

from __future__ import annotations

from spark_synth.errors import UserError
from spark_synth.schema.model import ForeignKey, Schema


def mark_implied(schema: Schema) -> None:
    """Mark the foreign keys whose columns are all part of another one that leads to the same row.

    An item of a delivery refers to a line of an order, (order, line), and to the order: the line's own key to its order
    says the same. UserError for keys that share columns otherwise, for each of them would set those.
    """
    for name, table in schema.tables.items():
        for fk in table.foreign_keys:
            found = [other.name for other in table.foreign_keys if _follows(schema, fk, other)]
            fk.implied = found[0] if found else None
        seen: dict[str, str] = {}
        for fk in table.foreign_keys:
            for column in () if fk.implied or table.reference else fk.columns:
                if column in seen:
                    raise UserError(
                        f"column {name}.{column} is part of two foreign keys ({seen[column]}, {fk.name}), neither of "
                        "which follows from the other: leave one of them out of the schema"
                    )
                seen[column] = fk.name


def _follows(schema: Schema, fk: ForeignKey, other: ForeignKey) -> bool:
    """Whether the row that `fk` refers to is known from the one that `other` refers to."""
    if not set(fk.columns) <= set(other.columns) or len(fk.columns) == len(other.columns):
        return False
    there = dict(zip(other.columns, other.parent_columns, strict=True))
    pairs = {(there[c], p) for c, p in zip(fk.columns, fk.parent_columns, strict=True)}
    onward = [k for k in schema.tables[other.parent].foreign_keys if k.parent == fk.parent]
    return any(set(zip(k.columns, k.parent_columns, strict=True)) == pairs for k in onward)
