"""Foreign keys to plans: what owns the rows of a table, its links in the order in which they are made, and which of
their values never occur together twice."""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_synth.encoding.edge_plan import Edge, LinkPlan, OwnerPlan
from spark_synth.encoding.plan import TablePlan
from spark_synth.encoding.views import key_text, quoted
from spark_synth.schema.graph import filled_last, links
from spark_synth.schema.model import ForeignKey, Schema, Table

NULL_SIZE = 64  # rows of an ownerless family


def plan_edges(
    schema: Schema, name: str, owner: ForeignKey | None, nulls: Mapping[str, int]
) -> tuple[OwnerPlan | None, list[LinkPlan]]:
    """The plans of the foreign keys of a table; nulls: real rows with NULL, by column."""
    table = schema.table(name)
    made = None
    if owner:
        absent = max(nulls[c] for c in owner.columns)
        made = OwnerPlan(owner.name, owner.columns, owner.parent, owner.parent_columns, absent, NULL_SIZE)
    found = [_link(fk, name, schema, nulls) for fk in links(table, owner)]
    _tell_shared(found, set(owner.columns) if owner else set())
    edges: list[Edge] = [*([made] if made else []), *found]
    for edge in edges:
        edge.onward = _onward(schema, table, edge)
    return made, found


def _link(fk: ForeignKey, name: str, schema: Schema, nulls: Mapping[str, int]) -> LinkPlan:
    nullable = any(nulls[c] for c in fk.columns)
    reference = schema.table(fk.parent).reference
    return LinkPlan(fk.name, fk.columns, fk.parent, fk.parent_columns, reference, nullable, filled_last(name, fk))


def _tell_shared(found: list[LinkPlan], known: set[str]) -> None:
    """Tell every link, in the order in which they are made (in place), which of its columns are `known` by then."""
    columns = [c for k in found for c in k.columns]
    if len(set(columns)) < len(columns):  # what others share columns with comes first: a tenant, then its customer
        found.sort(key=lambda k: (k.late, not k.reference, len(k.columns)))
    for link in found:
        named = zip(link.columns, link.parent_columns, strict=True)
        link.within = tuple((c, p) for c, p in named if c in known)
        known = known | set(link.columns)


def _onward(schema: Schema, table: Table, edge: Edge) -> tuple[tuple[str, str], ...]:
    """The columns of foreign keys that repeat one of the row that `edge` leads to, with those of the latter."""
    theirs = {fk.name: fk.columns for fk in schema.table(edge.parent).foreign_keys}
    mine = [fk for fk in table.foreign_keys if fk.implied == edge.name and fk.onward]
    return tuple(p for fk in mine for p in zip(fk.columns, theirs[str(fk.onward)], strict=True))


def unique_sets(df: DataFrame, table: Table, plan: TablePlan) -> list[list[str]]:
    """Column sets with a link that may not repeat: the primary key; the owner with a link, or, where a join table
    declares no primary key, its foreign keys together, if they never repeat in the real rows."""
    linked = [set(k.columns) for k in plan.links if k.parent != plan.table]
    if any(k <= set(table.primary_key) for k in linked):
        return [plan.primary_key]
    if table.primary_key:
        return _once_in_family(df, plan)
    free = [fk for fk in table.foreign_keys if not fk.implied]
    keys = [c for c in table.columns if any(c in fk.columns for fk in free)]
    if not linked or len(free) < 2:
        return []
    whole = df.select(*map(quoted, keys)).dropna()
    row = whole.agg(F.count(F.lit(1)).alias("rows"), F.count_distinct(*map(quoted, keys)).alias("distinct")).head()
    return [keys] if row is not None and row["rows"] == row["distinct"] > 1 else []


def _once_in_family(df: DataFrame, plan: TablePlan) -> list[list[str]]:
    """The columns of the owner and a link, for every link whose target no family has twice (an invoice's tracks)."""
    early = [k for k in plan.matched if not k.late]
    if not plan.owner or not early:
        return []
    sums = {"n": F.count(F.lit(1))}
    for i, link in enumerate(early):
        columns = [quoted(c) for c in link.columns]
        sums[f"again{i}"] = F.count(key_text(columns)) - F.count_distinct(*columns)
    owners = [quoted(c) for c in plan.owner.columns]
    families = df.dropna(subset=list(plan.owner.columns)).groupBy(*owners).agg(*[v.alias(k) for k, v in sums.items()])
    told = families.agg(*[F.max(k).alias(k) for k in sums]).head()
    if told is None or (told["n"] or 0) < 2:
        return []
    return [[*plan.owner.columns, *k.brings.values()] for i, k in enumerate(early) if not told[f"again{i}"]]
