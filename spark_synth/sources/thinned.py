"""A share of a database taken by the server itself, so that no more than it is copied: conditions for the queries.

As in sources.sample, roots that own other tables are cut by a hash of their key, and what they own follows them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import ColumnElement, FromClause

from spark_synth.schema import Schema
from spark_synth.schema.graph import choose_owners
from spark_synth.schema.model import ForeignKey
from spark_synth.servers.declared import DeclaredTable
from spark_synth.sources.sample import STEPS


def declared_schema(tables: Mapping[str, DeclaredTable]) -> Schema:
    """The keys that a database declares, as a schema."""
    schema = Schema()
    for name, table in tables.items():
        schema.add_table(name, list(table.keys.primary))
    for name, table in tables.items():
        for i, (columns, parent, theirs) in enumerate(table.keys.foreign):
            to = (theirs or tables[parent].keys.primary) if parent in tables else ()
            if to:
                key = ForeignKey(name=f"{name}.{i}", columns=columns, parent=parent, parent_columns=to)
                schema.tables[name].foreign_keys.append(key)
    return schema


class Thinned:
    """Which rows belong to a share of a database. rows: of all its tables, which tell owners from others."""

    def __init__(
        self, schema: Schema, rows: Mapping[str, int], share: float, seed: int, dialect: str, namespace: str | None
    ) -> None:
        self.schema, self.owners = schema, choose_owners(schema, rows)
        self.share, self.seed, self.dialect, self.namespace = share, seed, dialect, namespace
        self.owning = {fk.parent for fk in self.owners.values() if fk}

    def condition(self, name: str, frame: FromClause, depth: int = 0) -> ColumnElement[bool] | None:
        """Whether a row of `frame`, the table of that name, belongs to it; None where all do."""
        owner, spec = self.owners.get(name), self.schema.tables.get(name)
        if spec is None or spec.reference or (owner is None and name not in self.owning):
            return None
        if owner is None:
            return self._chosen(frame, spec.primary_key) if spec.primary_key else None
        above = sa.table(
            owner.parent, *map(sa.column, self._columns(owner.parent, owner)), schema=self.namespace
        ).alias(f"above{depth}")
        kept = self.condition(owner.parent, above, depth + 1)
        if kept is None:
            return None
        met = [_of(frame, c) == above.c[p] for c, p in zip(owner.columns, owner.parent_columns, strict=True)]
        found = sa.exists(sa.select(sa.literal_column("1")).select_from(above).where(*met, kept))
        none = sa.or_(*[_of(frame, c).is_(None) for c in owner.columns])
        alone = sa.and_(none, self._chosen(frame, spec.primary_key)) if spec.primary_key else none
        return sa.or_(found, alone)

    def _columns(self, name: str, fk: ForeignKey) -> list[str]:
        """Columns of a parent that its condition and the key that leads to it speak of."""
        owner = self.owners.get(name)
        spoken = (*fk.parent_columns, *self.schema.tables[name].primary_key, *(owner.columns if owner else ()))
        return list(dict.fromkeys(spoken))

    def _chosen(self, frame: FromClause, key: Sequence[str]) -> ColumnElement[bool]:
        """Whether a hash of the key falls into the share."""
        text: ColumnElement[Any] = sa.literal(f"{self.seed}")
        for c in key:
            text = text.concat(sa.literal("|")).concat(sa.cast(_of(frame, c), sa.String(255)))
        return self._hash(text) < round(self.share * STEPS)

    def _hash(self, text: ColumnElement[Any]) -> ColumnElement[Any]:
        """A number from 0 to STEPS - 1."""
        if self.dialect == "oracle":
            return sa.func.ora_hash(text, STEPS - 1)
        if self.dialect == "mssql":
            return sa.func.abs(sa.cast(sa.func.checksum(text), sa.BigInteger())) % sa.literal_column(str(STEPS))
        function = {"postgresql": sa.func.hashtextextended, "snowflake": sa.func.hash}.get(self.dialect, sa.func.crc32)
        hashed = function(text, 0) if self.dialect == "postgresql" else function(text)
        return sa.func.abs(sa.func.mod(hashed, STEPS))


def _of(frame: FromClause, name: str) -> ColumnElement[Any]:
    column: ColumnElement[Any] = frame.c[name]
    return column
