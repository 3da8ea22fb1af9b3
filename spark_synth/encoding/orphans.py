"""Orphans that are kept: how many there are, and a filter of their keys, so that none of these is made again."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_synth.encoding.bloom import build_blooms
from spark_synth.encoding.edge_plan import Edge, OwnerPlan
from spark_synth.encoding.orphan_plan import OrphanPlan
from spark_synth.encoding.plan import TablePlan
from spark_synth.encoding.views import quoted
from spark_synth.schema.model import Schema


def fit_orphans(tables: Mapping[str, DataFrame], schema: Schema, plan: TablePlan) -> dict[str, np.ndarray]:
    """Filters by column of the keys of orphans that are kept; the foreign keys of the plan get their `orphans`.

    Links into reference tables are codes of the linking row: there the key of an orphan is a code like any other.
    """
    kept = {fk.name for fk in schema.table(plan.table).foreign_keys if fk.kept_orphans}
    filters: dict[str, np.ndarray] = {}
    edges: list[Edge] = [*([plan.owner] if plan.owner else []), *plan.matched]
    for edge in edges:
        if edge.name in kept:
            keys = [quoted(c).alias(p) for c, p in zip(edge.columns, edge.parent_columns, strict=True)]
            own = tables[plan.table].select(*keys).dropna()
            parent = tables[edge.parent].select(*map(quoted, edge.parent_columns))
            found = own.join(parent, list(edge.parent_columns), "left_anti")
            values = found.groupBy(*map(quoted, edge.parent_columns)).agg(F.count(F.lit(1)).alias("__rows"))
            # few rows: n rows have at most sqrt(2 n) different counts
            counts = sorted((r["__rows"], r["count"]) for r in values.groupBy("__rows").count().collect())
            edge.orphans = OrphanPlan(sum(n for _, n in counts), sum(d * n for d, n in counts), counts)
            named = values.select(*[quoted(p).alias(c) for c, p in zip(edge.columns, edge.parent_columns, strict=True)])
            filters |= build_blooms(named, dict.fromkeys(edge.columns, edge.orphans.keys))
    return filters


def context_width(owner: OwnerPlan, above: TablePlan) -> list[int]:
    """Cards of what the rows of a table are conditioned on: their owner's codes, its context, and, where orphans are
    kept, whether a row has an owner (0) or a key that is nobody's (1)."""
    return above.cards + above.context_cards + [2] * bool(owner.orphans)
