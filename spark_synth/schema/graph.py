"""The owner forest: which foreign key, if any, makes the rows of each table an ordered sequence.

An owner is a key whose families are real sequences (a customer's orders); every other foreign key is a link,
filled after all rows exist. Owner edges alone decide the order of generation, so they form a forest.
"""

from __future__ import annotations

from collections.abc import Mapping

import networkx as nx

from spark_synth.errors import UserError
from spark_synth.schema.model import ForeignKey, Schema, Table

# A parent with so few rows and so many children each is a hub (a country's customers), not the owner of a sequence.
HUB_ROWS = 20
HUB_CHILDREN = 3


def choose_owners(schema: Schema, row_counts: Mapping[str, int]) -> dict[str, ForeignKey | None]:
    """The owner of every table, or None for a root.

    A key marked `owner: true` wins; a primary key that is itself a foreign key must own (a 1:1 extension); otherwise
    the parent with the most rows that is neither a hub, a reference table nor part of a cycle.
    """
    cyclic = _cyclic_edges(schema)
    owners: dict[str, ForeignKey | None] = {}
    for name, table in schema.tables.items():
        owners[name] = None if table.reference else _owner(name, table, schema, row_counts, cyclic)
    _refuse_owner_cycle(owners)
    return owners


def generation_order(owners: Mapping[str, ForeignKey | None]) -> list[str]:
    """Tables with every owner before what it owns; ties keep the order of the schema."""
    order: list[str] = []
    while len(order) < len(owners):
        order += [t for t, fk in owners.items() if t not in order and (fk is None or fk.parent in order)]
    return order


def owned_children(table: str, owners: Mapping[str, ForeignKey | None]) -> list[tuple[str, ForeignKey]]:
    """(child table, owner key) of every table that `table` owns, in schema order."""
    return [(t, fk) for t, fk in owners.items() if fk is not None and fk.parent == table]


def links(table: Table, owner: ForeignKey | None) -> list[ForeignKey]:
    """The foreign keys of a table other than its owner."""
    return [fk for fk in table.foreign_keys if owner is None or fk.name != owner.name]


def _owner(
    name: str, table: Table, schema: Schema, rows: Mapping[str, int], cyclic: set[tuple[str, str]]
) -> ForeignKey | None:
    named = [fk for fk in table.foreign_keys if fk.owner]
    if len(named) > 1:
        raise UserError(
            f"table {name}: two owners named ({', '.join(fk.name for fk in named)}); keep one `owner: true`"
        )
    if named:
        return named[0]
    candidates = [
        fk for fk in table.foreign_keys if fk.owner is None and fk.parent != name and (name, fk.name) not in cyclic
    ]
    extensions = [fk for fk in candidates if table.primary_key and set(table.primary_key) <= set(fk.columns)]
    if extensions:
        return extensions[0]
    sequences = [fk for fk in candidates if not schema.tables[fk.parent].reference and not _hub(name, fk, rows)]
    return max(sequences, key=lambda fk: rows[fk.parent], default=None)


def _hub(name: str, fk: ForeignKey, rows: Mapping[str, int]) -> bool:
    return rows[fk.parent] < HUB_ROWS and rows[name] > HUB_CHILDREN * rows[fk.parent]


def _cyclic_edges(schema: Schema) -> set[tuple[str, str]]:
    """(table, foreign key name) of the edges inside a cycle of two or more tables."""
    graph = nx.DiGraph([(t, fk.parent) for t, v in schema.tables.items() for fk in v.foreign_keys])
    group = {t: i for i, part in enumerate(nx.strongly_connected_components(graph)) for t in part}
    return {(t, fk.name) for t, v in schema.tables.items() for fk in v.foreign_keys if group[t] == group[fk.parent]}


def _refuse_owner_cycle(owners: Mapping[str, ForeignKey | None]) -> None:
    graph = nx.DiGraph([(t, fk.parent) for t, fk in owners.items() if fk])
    try:
        cycle = nx.find_cycle(graph)
    except nx.NetworkXNoCycle:
        return
    raise UserError(f"tables {', '.join(a for a, _ in cycle)} own each other in a circle; mark one key `owner: false`")
