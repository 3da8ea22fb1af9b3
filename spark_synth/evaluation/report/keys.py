"""The keys of a database as the diagram draws them: rows of the boxes of tables, and what refers to what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from spark_synth.schema.model import Schema


@dataclass(frozen=True)
class Reference:
    """A foreign key: `columns` of `table` refer to `parent_columns` of `parent`. owner: rows are sequences under it;
    late: it opens a cycle and is filled when all rows exist."""

    table: str
    columns: tuple[str, ...]
    parent: str
    parent_columns: tuple[str, ...]
    owner: bool = False
    late: bool = False


@dataclass
class Keys:
    """`own`: for each table the sets of columns drawn in its box, the primary key first if there is one; `primary`:
    the tables that have one; `references`."""

    own: dict[str, list[tuple[str, ...]]] = field(default_factory=dict)
    primary: set[str] = field(default_factory=set)
    references: list[Reference] = field(default_factory=list)

    def around(self, table: str, most: int) -> Keys:
        """A table with the tables that it refers to and, up to `most` together, those that refer to it: of these only
        the keys by which they do."""
        parents = [r for r in self.references if r.table == table]
        children = [r for r in self.references if r.parent == table and r.table != table]
        shown = [*dict.fromkeys([*(r.parent for r in parents), *(r.table for r in children)])]
        kept = {table, *[t for t in shown if t != table][:most]}
        references = [r for r in (*parents, *children) if {r.table, r.parent} <= kept]
        tied = {(r.table, r.columns) for r in references} | {(r.parent, r.parent_columns) for r in references}
        own = {t: [k for k in keys if t == table or (t, k) in tied] for t, keys in self.own.items() if t in kept}
        primary = {t for t in own if t in self.primary and own[t] and own[t][0] == self.own[t][0]}
        return Keys(own, primary, references)


def keys_of(schema: Schema | None, tables: Mapping[str, Any]) -> Keys:
    """All keys, by the schema or, without one, by what metrics tell of the tables."""
    keys = _from_schema(schema, tables) if schema else _from_metrics(tables)
    for r in keys.references:
        for t, columns in ((r.parent, r.parent_columns), (r.table, r.columns)):
            if columns not in keys.own[t]:
                keys.own[t].append(columns)
    return keys


def _from_schema(schema: Schema, tables: Mapping[str, Any]) -> Keys:
    keys = Keys()
    for t in (t for t in schema.tables if t in tables):
        table = schema.tables[t]
        keys.own[t] = [table.primary_key] if table.primary_key else []
        keys.primary |= {t} if table.primary_key else set()
        keys.references += [
            Reference(t, fk.columns, fk.parent, fk.parent_columns, _owns(tables[t], fk.name), fk.cut is not None)
            for fk in table.foreign_keys
            if fk.parent in tables
        ]
    return keys


def _owns(table: Mapping[str, Any], name: str) -> bool:
    return bool(table["fk"].get(name, {}).get("owner"))


def _from_metrics(tables: Mapping[str, Any]) -> Keys:
    keys = Keys()
    for t, found in tables.items():
        primary = tuple((found["primary_key"] or {}).get("columns", ()))
        keys.own[t] = [primary] if primary else []
        keys.primary |= {t} if primary else set()
    for t, found in tables.items():
        for fk in found["fk"].values():
            if fk["parent"] in tables:
                there = keys.own[fk["parent"]][0] if fk["parent"] in keys.primary else tuple(fk["columns"])
                keys.references.append(Reference(t, tuple(fk["columns"]), fk["parent"], there, fk["owner"]))
    return keys
