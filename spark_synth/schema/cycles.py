"""Cycles between tables: each is opened at one foreign key, which is filled last, so that all others may own rows."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import networkx as nx

from spark_synth.errors import UserError
from spark_synth.schema.check import suggestion
from spark_synth.schema.model import ForeignKey, Schema

Edge = tuple[str, str, str]  # table, parent, name of the foreign key


def cyclic_edges(schema: Schema) -> set[tuple[str, str]]:
    """(table, foreign key name) of the edges inside a cycle of two or more tables; those that are cut left out."""
    graph = _graph(schema)
    group = {t: i for i, part in enumerate(nx.strongly_connected_components(graph)) for t in part}
    return {(t, name) for t, parent, name in graph.edges(keys=True) if group[t] == group[parent]}


def name_cuts(schema: Schema, named: Collection[str]) -> None:
    """Mark the foreign keys that `break_edges` names, by name or as table.column, as cut."""
    known = {n: (t, fk) for t, v in schema.tables.items() for fk in v.foreign_keys for n in _names(t, fk)}
    cyclic = cyclic_edges(schema)
    for name in named:
        if name not in known:
            raise UserError(f"option break_edges: no foreign key {name!r}{suggestion(name, known)}")
        table, fk = known[name]
        if (table, fk.name) not in cyclic:
            raise UserError(f"option break_edges: {name!r} is in no cycle of tables: leave it out")
        if fk.owner:
            raise UserError(f"option break_edges: {name!r} is marked `owner: true`, but a cut edge cannot own rows")
        fk.cut = "named in break_edges"


def cut_cycles(schema: Schema, null_shares: Mapping[tuple[str, str], float]) -> None:
    """Mark foreign keys as cut until no cycle of tables is left: of each cycle the key that is NULL most often.

    null_shares: share of NULLs of the edges of `cyclic_edges`. UserError where no key of a cycle is ever NULL.
    """
    while cyclic_edges(schema):
        cycle = nx.find_cycle(_graph(schema))
        free = [e for e in cycle if not _key(schema, e).owner and null_shares.get((e[0], e[2]), 0.0) > 0]
        if not free:
            tables, example = " -> ".join([e[0] for e in cycle] + [cycle[0][0]]), _key(schema, cycle[0])
            raise UserError(
                f"tables {tables} refer to each other in a circle, and no key of it is ever NULL: name the one to be "
                f"filled last, such as break_edges: [{cycle[0][0]}.{'+'.join(example.columns)}]"
            )
        cut = max(free, key=lambda e: null_shares[e[0], e[2]])
        _key(schema, cut).cut = f"NULL in {null_shares[cut[0], cut[2]]:.1%} of its rows"


def _graph(schema: Schema) -> nx.MultiDiGraph:
    """Tables and the foreign keys between two of them that take part in cycles: reference tables keep their rows."""
    made: list[Edge] = [
        (t, fk.parent, fk.name)
        for t, v in schema.tables.items()
        for fk in v.foreign_keys
        if not fk.cut and fk.parent != t and not v.reference and not schema.tables[fk.parent].reference
    ]
    return nx.MultiDiGraph(made)


def _key(schema: Schema, edge: Edge) -> ForeignKey:
    return next(fk for fk in schema.tables[edge[0]].foreign_keys if fk.name == edge[2])


def _names(table: str, fk: ForeignKey) -> set[str]:
    return {fk.name, f"{table}.{'+'.join(fk.columns)}"}
