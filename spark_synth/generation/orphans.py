"""Keys of orphans that are kept: made like those of the rows of the parent, after these, so that no row has one.

The rows of a foreign key that are orphans share its made-up keys as the real ones do theirs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_synth.encoding.bloom import AnyOf, Bloom
from spark_synth.encoding.edge_plan import Edge, LinkPlan
from spark_synth.encoding.keys import KeyPlan, make_keys
from spark_synth.encoding.plan import TablePlan
from spark_synth.generation.block import read_filters
from spark_synth.generation.degrees import running_total, to_real_distribution
from spark_synth.generation.run import Generation


def orphan_targets(run: Generation, table: str, edge: Edge, rows: int) -> DataFrame:
    """What stands for the missing targets of `rows` orphans: __idx from 0, `size` (rows that refer to it, in all
    `rows`), `first` (sum of the sizes before) and the key as text in __p0.. ."""
    assert edge.orphans is not None
    alone = edge.orphans.keys == edge.orphans.rows  # no two rows with the same one
    count = min(rows, _room(run, edge) if alone else orphan_count(run, edge))
    one = F.lit(1).cast("bigint").alias("__drawn")
    drawn = to_real_distribution(run.spark.range(count).select(F.col("id").alias("__idx"), one), edge.orphans.histogram)
    sized, _ = running_total(drawn, "__drawn", rows)
    columns = {f"__p{i}": _column(run, table, edge, i) for i in range(len(edge.columns))}

    def keyed(frames: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        taken = {name: column.taken() for name, column in columns.items()}
        for frame in frames:
            index = frame["__idx"].to_numpy(np.int64)
            yield frame.assign(**{name: column.keys(index, taken[name]) for name, column in columns.items()})

    fields = ", ".join(["__idx bigint, size bigint, first bigint", *(f"{name} string" for name in columns)])
    return sized.select("__idx", "size", "first").mapInPandas(keyed, fields)


def with_orphans(
    run: Generation, table: str, link: LinkPlan, targets: DataFrame, asking: DataFrame, cell: int
) -> DataFrame:
    """`targets` (see matching.match), and those that are missing to the orphans `asking`, in the cell `cell`."""
    rows = asking.count()
    if not rows:
        return targets
    made = orphan_targets(run, table, link, rows).withColumn("__cell", F.lit(cell))
    keys = {f"__p{i}": targets.schema[f"__p{i}"].dataType for i in range(len(link.columns))}
    typed = made.withColumns({name: F.col(name).cast(type_) for name, type_ in keys.items()})
    return targets.unionByName(typed, allowMissingColumns=True)


def orphan_count(run: Generation, edge: Edge) -> int:
    """Different keys of the orphans of a foreign key."""
    assert edge.orphans is not None
    return max(1, round(edge.orphans.keys * run.ratio))


def reserved(run: Generation, table: str) -> int:
    """Keys like those of a table that orphans may need, besides those of its rows."""
    return sum(_room(run, edge) for _, edge in _edges(run.plans, table))


def _room(run: Generation, edge: Edge) -> int:
    """Keys that a foreign key may need for its orphans: how many of these there are is drawn, where it is a link."""
    return 2 * orphan_count(run, edge)


def _edges(plans: Mapping[str, TablePlan], table: str) -> list[tuple[str, Edge]]:
    """Child and foreign key where orphans have keys like those of a table, each after the others."""
    edges = [(child, e) for child, plan in plans.items() for e in plan.edges if e.orphans]
    return [(child, e) for child, e in edges if table in {_source(plans, e.parent, c)[0] for c in e.parent_columns}]


def _source(plans: Mapping[str, TablePlan], table: str, column: str) -> tuple[str, KeyPlan]:
    """The table that makes the keys in a column of `table`, and how."""
    plan = plans[table]
    found = next((k for k in plan.keys if k.column == column), None)
    if found:
        return table, found
    edges: list[Edge] = [*([plan.owner] if plan.owner else []), *plan.links]
    onward = next(e for e in edges if column in e.columns)
    return _source(plans, onward.parent, onward.parent_columns[onward.columns.index(column)])


@dataclass(frozen=True)
class _Column:
    """How one column of the keys is made; see encoding.keys.make_keys. first: index of the first key; used: by earlier
    waves."""

    plan: KeyPlan
    first: int
    count: int
    salt: str
    filters: tuple[tuple[str, str], ...]  # folder and column of filters of real keys
    used: int

    def taken(self) -> AnyOf:
        """The real keys that must not be made; read where keys are made."""
        found = [(read_filters(Path(folder)), c) for folder, c in self.filters]
        return AnyOf([Bloom(filters[c]) for filters, c in found if c in filters])

    def keys(self, index: np.ndarray, taken: AnyOf) -> np.ndarray:
        """Text objects (n,) for `index` int64 (n,) from 0."""
        place = np.zeros_like(index)
        made = make_keys(self.plan, self.first + index, place, self.count, self.salt, taken, self.used)
        text: np.ndarray = made.astype(str).astype(object)
        return text


def _column(run: Generation, table: str, edge: Edge, number: int) -> _Column:
    source, plan = _source(run.plans, edge.parent, edge.parent_columns[number])
    edges = _edges(run.plans, source)
    rows = max(run.ends(source).count(), run.plans[source].rows)
    place = [(child, e.name) for child, e in edges].index((table, edge.name))
    before = sum(_room(run, e) for _, e in edges[:place])
    filters = ((f"{run.models}/{source}", plan.column), (f"{run.models}/{table}", edge.columns[number]))
    salt, count = f"{run.key_seed(source)}/{source}/{plan.column}", rows + reserved(run, source)
    return _Column(plan, rows + before, count, salt, filters, run.used.get(source, 0))
