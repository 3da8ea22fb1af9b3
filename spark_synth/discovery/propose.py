"""A schema from tables alone: what they look like, their keys, what leads where, and what columns hold."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pyspark.sql import SparkSession

from spark_synth.discovery.entities import Entity, entity
from spark_synth.discovery.foreign import FoundLink, composite_foreign_keys, foreign_keys
from spark_synth.discovery.kinds import kind_of
from spark_synth.discovery.primary import FoundKey, composite_key, single_key
from spark_synth.discovery.profile import Holds, Look, look
from spark_synth.discovery.sketch import Sketch, sketch
from spark_synth.schema.model import ForeignKey, Schema, Table
from spark_synth.servers.declared import DeclaredKeys
from spark_synth.sources.files import RawTable
from spark_synth.sources.spark_util import run_parallel

_LINKABLE = (Holds.WHOLE, Holds.TEXT)
_LONGEST_KEY = 64


@dataclass
class Proposal:
    """A schema that nobody has approved, and what else was found: what each column looks like and names, and which
    columns are left out because they cannot be modelled."""

    schema: Schema
    looks: dict[str, list[Look]]
    entities: dict[tuple[str, str], Entity] = field(default_factory=dict)
    left_out: list[tuple[str, str]] = field(default_factory=list)


def propose(
    spark: SparkSession,
    raws: Mapping[str, RawTable],
    declared: Mapping[str, DeclaredKeys] | None = None,
    note: Callable[[str], None] = lambda text: None,
) -> Proposal:
    """Keys, relationships and kinds of all tables. declared: the keys that the source tells, which are taken so."""
    declared, names = declared or {}, list(raws)
    looks = dict(zip(names, run_parallel(spark, lambda t: look(t, raws[t]), names), strict=True))
    note(f"{sum(map(len, looks.values())):,} columns of {len(names):,} tables profiled")
    keys = _primary_keys(spark, raws, looks, declared, names)
    note(f"primary keys of one column: {len(keys):,} tables")
    sketches = _sketches(spark, raws, looks)
    links = _declared_links(declared, keys)
    told = {(k.table, k.columns) for k in links}
    links += [k for k in foreign_keys(spark, raws, looks, keys, sketches) if (k.table, k.columns) not in told]
    keys |= _composite_keys(spark, raws, looks, links, [t for t in names if t not in keys])
    links += [k for k in composite_foreign_keys(spark, raws, looks, keys) if (k.table, k.columns) not in told]
    note(f"{len(keys):,} primary keys, {len(links):,} foreign keys")
    proposal = Proposal(Schema(approved=False), looks)
    for t in names:
        unique = {u[0] for u in declared.get(t, DeclaredKeys()).unique if len(u) == 1}
        _add_table(proposal, t, keys.get(t), [k for k in links if k.table == t], unique)
    return proposal


def _primary_keys(
    spark: SparkSession,
    raws: Mapping[str, RawTable],
    looks: Mapping[str, Sequence[Look]],
    declared: Mapping[str, DeclaredKeys],
    names: Iterable[str],
) -> dict[str, FoundKey]:
    def found(t: str) -> FoundKey | None:
        if t in declared and declared[t].primary:
            return FoundKey(declared[t].primary, 1.0, "declared by the source")
        return single_key(raws[t], looks[t], looks)

    every = list(names)
    return {t: k for t, k in zip(every, run_parallel(spark, found, every), strict=True) if k}


def _composite_keys(
    spark: SparkSession,
    raws: Mapping[str, RawTable],
    looks: Mapping[str, Sequence[Look]],
    links: Sequence[FoundLink],
    names: list[str],
) -> dict[str, FoundKey]:
    linked = {t: {c for k in links if k.table == t for c in k.columns} for t in names}
    found = run_parallel(spark, lambda t: composite_key(raws[t], looks[t], linked[t]), names)
    return {t: k for t, k in zip(names, found, strict=True) if k}


def _sketches(
    spark: SparkSession, raws: Mapping[str, RawTable], looks: Mapping[str, Sequence[Look]]
) -> dict[tuple[str, str], Sketch]:
    of = {t: [c for c in v if c.holds in _LINKABLE and c.longest <= _LONGEST_KEY] for t, v in looks.items()}
    names = [t for t, columns in of.items() if columns]
    found = run_parallel(spark, lambda t: sketch(raws[t], of[t]), names)
    return {(t, c.name): s for t, each in zip(names, found, strict=True) for c, s in zip(of[t], each, strict=True)}


def _declared_links(declared: Mapping[str, DeclaredKeys], keys: Mapping[str, FoundKey]) -> list[FoundLink]:
    found = []
    for t, each in declared.items():
        for columns, parent, theirs in each.foreign:
            to = theirs or (keys[parent].columns if parent in keys else ())
            if len(to) == len(columns):
                found.append(FoundLink(t, columns, parent, to, 1.0, "declared by the source"))
    return found


def _add_table(
    proposal: Proposal, name: str, key: FoundKey | None, links: Sequence[FoundLink], unique: Collection[str]
) -> None:
    single = key.columns if key and len(key.columns) == 1 else ()
    keyed = {*single, *(c for k in links for c in k.columns)}
    table = Table(columns={}, primary_key=key.columns if key else ())
    if key:
        table.confidence, table.evidence = round(key.confidence, 2), key.evidence
    for c in proposal.looks[name]:
        if c.holds is Holds.OTHER:
            proposal.left_out.append((name, c.name))
            continue
        found = entity(c) if c.name not in keyed else None
        if found:
            proposal.entities[name, c.name] = found
        table.columns[c.name] = kind_of(c, found, c.name in keyed, c.name in unique)
    for link in links:
        table.foreign_keys.append(
            ForeignKey(
                name=f"{name}.{'+'.join(link.columns)}",
                columns=link.columns,
                parent=link.parent,
                parent_columns=link.parent_columns,
                confidence=round(link.confidence, 2),
                evidence=link.evidence,
            )
        )
    proposal.schema.tables[name] = table
