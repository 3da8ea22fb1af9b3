"""Join tables: tables whose rows are pairs of rows of two others, and how these pairs are drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import networkx as nx

from spark_synth.schema.graph import filled_last, links, needs
from spark_synth.schema.model import ForeignKey, Schema


@dataclass(frozen=True)
class Join:
    """How the pairs of a join table are drawn.

    link: the foreign key beside the owner. edges: `neural`, by a network that walks along the rows of each owner;
    `block`, by the clusters at both ends alone; `configuration`, by the degrees alone. first: before the rows that
    `link` leads to have values, which are then drawn given whom they are joined with.
    """

    owner: ForeignKey
    link: ForeignKey
    edges: str = "neural"
    first: bool = False


def join_tables(schema: Schema, owners: Mapping[str, ForeignKey | None]) -> dict[str, Join]:
    """Join tables: two foreign keys into generated tables, no primary key beyond these, no table that refers to it."""
    found = {}
    for t, table in schema.tables.items():
        owner, others = owners[t], [fk for fk in links(table, owners[t]) if not schema.table(fk.parent).reference]
        if owner is None or len(others) != 1 or table.reference or schema.children(t):
            continue
        link = others[0]
        if not filled_last(t, link) and set(table.primary_key) <= {*owner.columns, *link.columns}:
            found[t] = Join(owner, link)
    return found


def shared(join: Join) -> set[str]:
    """The columns that both foreign keys of a join table have."""
    return set(join.owner.columns) & set(join.link.columns)


def before_values(joins: Mapping[str, Join]) -> list[tuple[str, str]]:
    """(table, table that must be there before it), for the joins whose edges come first."""
    return [(j.link.parent, j.owner.parent) for j in joins.values() if j.first]


def edges_first(schema: Schema, owners: Mapping[str, ForeignKey | None], joins: Mapping[str, Join]) -> list[str]:
    """Of the join tables that are to have their edges first, in their order, those that can: what a link leads to must
    not be needed for the rows at the other end, nor agree with them in a column."""
    able: dict[str, Join] = {}
    for t, join in joins.items():
        graph = needs(schema, owners, before_values(able))
        if join.first and not shared(join) and not nx.has_path(graph, join.owner.parent, join.link.parent):
            able[t] = join
    return list(able)
