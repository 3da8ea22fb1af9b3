"""The owner forest: which foreign key, if any, makes the rows of each table an ordered sequence.

An owner is a key whose families are real sequences (a customer's orders); every other foreign key is a link,
matched to rows of its target. Owners form a forest; a row is drawn after its owner and the targets of its links,
except where a link leads into its own table or opens a cycle: such links are filled last.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import networkx as nx

from spark_synth.errors import UserError
from spark_synth.schema.cycles import cyclic_edges
from spark_synth.schema.model import ForeignKey, Schema, Table

# A parent with so few rows and so many children each is a hub (a country's customers), not the owner of a sequence.
HUB_ROWS = 20
HUB_CHILDREN = 3
CLEARLY = 0.3  # by which the share of time's variance between families is larger under the key that is preferred


@dataclass(frozen=True)
class OwnerChoice:
    """The owner of a table, None for a root, and why: a clause that can follow the name of the table."""

    key: ForeignKey | None
    reason: str


def choose_owners(schema: Schema, row_counts: Mapping[str, int]) -> dict[str, ForeignKey | None]:
    """The owner of every table, or None for a root; see `explain_owners`."""
    return {t: c.key for t, c in explain_owners(schema, row_counts).items()}


def explain_owners(schema: Schema, row_counts: Mapping[str, int]) -> dict[str, OwnerChoice]:
    """The owner of every table and why it is.

    A key marked `owner: true` wins; a primary key that is itself a foreign key must own (a 1:1 extension); otherwise,
    of the parents that are neither a hub, a reference table nor part of a cycle, the one whose rows lie clearly closer
    together in time, or else in the order of the primary key, than those of others, or else the one with the most rows.
    """
    cyclic = cyclic_edges(schema)
    choices = {name: _choice(name, schema, row_counts, cyclic) for name in schema.tables}
    _refuse_owner_cycle({t: c.key for t, c in choices.items()})
    return choices


def rivals(schema: Schema, row_counts: Mapping[str, int]) -> dict[str, list[ForeignKey]]:
    """The foreign keys of each table under which its rows may be sequences, where there are several to choose from."""
    cyclic = cyclic_edges(schema)
    settled = {t for t, v in schema.tables.items() if v.reference or any(fk.owner for fk in v.foreign_keys)}
    settled |= {t for t in schema.tables if _extensions(t, schema, cyclic)}
    found = {t: _sequences(t, schema, row_counts, cyclic)[0] for t in schema.tables if t not in settled}
    return {t: keys for t, keys in found.items() if len(keys) > 1}


def generation_order(
    schema: Schema, owners: Mapping[str, ForeignKey | None], more: Collection[tuple[str, str]] = ()
) -> list[str]:
    """Tables with every owner and link target before the rows that need them; ties keep the order of the schema.

    more: further pairs (table, table that must be there before it), which close no circle.
    """
    order: list[str] = []
    needed = needs(schema, owners, more)
    while len(order) < len(owners):
        ready = [t for t in owners if t not in order and set(needed[t]) <= set(order)]
        assert ready, "a cycle of tables was not opened"
        order += ready
    return order


def needs(
    schema: Schema, owners: Mapping[str, ForeignKey | None], more: Collection[tuple[str, str]] = ()
) -> nx.DiGraph[str]:
    """From each table to those that must be there before it; see `generation_order`."""
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(owners)
    graph.add_edges_from((t, above) for t, fk in owners.items() for above in _needed(schema, t, fk))
    graph.add_edges_from(more)
    return graph


def _needed(schema: Schema, table: str, owner: ForeignKey | None) -> set[str]:
    """The tables that must be there before a table is drawn."""
    if schema.table(table).reference:
        return set()
    found = {fk.parent for fk in links(schema.table(table), owner) if not filled_last(table, fk)}
    return found | ({owner.parent} if owner else set())


def owned_children(table: str, owners: Mapping[str, ForeignKey | None]) -> list[tuple[str, ForeignKey]]:
    """(child table, owner key) of every table that `table` owns, in schema order."""
    return [(t, fk) for t, fk in owners.items() if fk is not None and fk.parent == table]


def owners_last(owners: Mapping[str, ForeignKey | None]) -> list[list[str]]:
    """All tables, those whose rows own no families first, then the owners of these, and so on."""
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(owners)
    graph.add_edges_from((t, fk.parent) for t, fk in owners.items() if fk)
    return [list(level) for level in nx.topological_generations(graph)]


def filled_last(table: str, fk: ForeignKey) -> bool:
    """Whether a foreign key of `table` is filled when all rows exist: it opens a cycle, leads into its own table, or
    shares a column with a key into a reference table."""
    return fk.cut is not None or fk.parent == table or fk.last


def links(table: Table, owner: ForeignKey | None) -> list[ForeignKey]:
    """The foreign keys of a table other than its owner, and those that follow from another."""
    return [fk for fk in table.foreign_keys if not fk.implied and (owner is None or fk.name != owner.name)]


def _choice(name: str, schema: Schema, rows: Mapping[str, int], cyclic: set[tuple[str, str]]) -> OwnerChoice:
    table = schema.tables[name]
    if table.reference:
        return OwnerChoice(None, "reference table: its real rows are kept")
    if not table.foreign_keys:
        return OwnerChoice(None, "no foreign key")
    named = [fk for fk in table.foreign_keys if fk.owner]
    if len(named) > 1:
        raise UserError(
            f"table {name}: two owners named ({', '.join(fk.name for fk in named)}); keep one `owner: true`"
        )
    if named:
        return OwnerChoice(named[0], "named by the user")
    extensions = _extensions(name, schema, cyclic)
    if extensions:
        return OwnerChoice(extensions[0], "it is the primary key too, one row each")
    sequences, passed = _sequences(name, schema, rows, cyclic)
    if not sequences:
        return OwnerChoice(None, "; ".join(f"{k}: {why}" for k, why in passed.items()))
    best, why = max(sequences, key=lambda fk: rows[fk.parent]), "the most parents"
    closest = max(sequences, key=lambda fk: fk.gathered)
    if closest.gathered > best.gathered + CLEARLY:
        best, why = closest, "the closest together"
    each = f"{rows[name] / max(1, rows[best.parent]):,.1f} rows each on average"
    most = f", {why} of {len(sequences)} keys" if len(sequences) > 1 else ""
    return OwnerChoice(best, f"{rows[best.parent]:,} rows of {best.parent}{most}, {each}")


def _sequences(
    name: str, schema: Schema, rows: Mapping[str, int], cyclic: set[tuple[str, str]]
) -> tuple[list[ForeignKey], dict[str, str]]:
    """The foreign keys under which rows of a table may be sequences, and why the others are not."""
    passed: dict[str, str] = {}
    for fk in schema.tables[name].foreign_keys:
        why = _unfit(name, fk, cyclic) or _no_sequence(name, fk, schema, rows)
        if why:
            passed[fk.name] = why
    return [fk for fk in schema.tables[name].foreign_keys if fk.name not in passed], passed


def _extensions(name: str, schema: Schema, cyclic: set[tuple[str, str]]) -> list[ForeignKey]:
    """The foreign keys by which each row is a row of the parent too (1:1)."""
    primary = set(schema.tables[name].primary_key)
    keys = [fk for fk in schema.tables[name].foreign_keys if primary and primary <= set(fk.columns)]
    return [fk for fk in keys if not _unfit(name, fk, cyclic)]


def _unfit(name: str, fk: ForeignKey, cyclic: set[tuple[str, str]]) -> str | None:
    """Why a foreign key cannot own the rows of its table, None where it can."""
    if fk.parent == name:
        return "refers to the table itself"
    if fk.owner is False:
        return "marked owner: false"
    if fk.implied:
        return f"follows from {fk.implied}"
    if fk.partly:
        return "NULL in rows that another key with its columns is not NULL in"
    if fk.last:
        return "shares a column with a key into a reference table"
    if fk.cut:
        return f"opens a cycle ({fk.cut})"
    return "part of a cycle" if (name, fk.name) in cyclic else None


def _no_sequence(name: str, fk: ForeignKey, schema: Schema, rows: Mapping[str, int]) -> str | None:
    """Why the rows under a foreign key are no sequence, None where they are."""
    if schema.tables[fk.parent].reference:
        return f"{fk.parent} is a reference table"
    hub = rows[fk.parent] < HUB_ROWS and rows[name] > HUB_CHILDREN * rows[fk.parent]
    return f"{fk.parent} is a hub of {rows[fk.parent]:,} rows" if hub else None


def _refuse_owner_cycle(owners: Mapping[str, ForeignKey | None]) -> None:
    graph = nx.DiGraph([(t, fk.parent) for t, fk in owners.items() if fk])
    try:
        cycle = nx.find_cycle(graph)
    except nx.NetworkXNoCycle:
        return
    raise UserError(f"tables {', '.join(a for a, _ in cycle)} own each other in a circle; mark one key `owner: false`")
