"""The codes of rows that take part in links, for every table whose rows do: embed both ends, cluster, write; and the
edges of a join table by these codes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import partial

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_synth.encoding.at_once import each, written
from spark_synth.encoding.clusters import find_clusters
from spark_synth.encoding.depth import Write, depths
from spark_synth.encoding.edge_plan import Edge, LinkPlan
from spark_synth.encoding.embed import Places, embed, node
from spark_synth.encoding.join_plan import BlockPlan
from spark_synth.encoding.plan import TablePlan
from spark_synth.encoding.views import key_text, quoted

CODED_ROWS = 10_000  # of a table too small to learn the degrees of its clusters from


def coded_tables(plans: Mapping[str, TablePlan]) -> list[str]:
    """Tables whose rows have a code: targets of matched links, and owners of the rows that have such links."""
    found = {k.parent for p in plans.values() for k in p.matched}
    found |= {p.owner.parent for p in plans.values() if p.owner and any(not k.late for k in p.matched)}
    return [t for t in plans if t in found and not plans[t].reference]


def neighbours(rows: DataFrame, plan: TablePlan, seed: int) -> list[tuple[Edge, DataFrame, int]]:
    """(foreign key, places of its targets, axes) of the ends of a table with links: its owner, or its first link, with
    each other link."""
    ends: list[Edge] = [*([plan.owner] if plan.owner else []), *(k for k in plan.matched if not k.late)]
    found: list[tuple[Edge, DataFrame, int]] = []
    for other in ends[1:]:
        places: Places | None = embed(rows, ends[0].columns, other.columns, seed)
        if places:
            found += [(ends[0], places.left, places.axes), (other, places.right, places.axes)]
    return found


def with_codes(
    frame: DataFrame, plan: TablePlan, places: list[tuple[Edge, DataFrame, int]], copied: Collection[str], seed: int
) -> DataFrame:
    """The frame of a table with __code, the cluster of each row; the plan gets its clusters.

    copied: columns that rows which link to these take over.
    """
    columns, axes = frame.columns, 0
    for end, found, more in places:
        named = [F.col(f"p{i}").alias(f"__p{axes + i}") for i in range(more)]
        right = found.select(F.col("node").alias("__node"), *named)
        frame = frame.join(right, node(end.parent_columns) == F.col("__node"), "left").drop("__node")
        axes += more
    plan.code, code = find_clusters(frame, plan, axes, copied, seed)
    return frame.select(*map(quoted, columns), code.alias("__code"))


def fit_codes(
    rows: Mapping[str, DataFrame],
    frames: Mapping[str, DataFrame],
    plans: dict[str, TablePlan],
    seed: int,
    work: str,
    note: Callable[[str], None],
) -> None:
    """Codes of all tables whose rows take part in links, written with their frames."""
    linking = [t for t, p in plans.items() if any(not k.late for k in p.matched)]
    found = [place for places in each(linking, lambda t: neighbours(rows[t], plans[t], seed)) for place in places]

    def code(t: str) -> None:
        mine = [place for place in found if place[0].parent == t]
        to = [(p, k) for p in plans.values() for k in p.matched if k.parent == t]
        frame = with_codes(frames[t], plans[t], mine, {c for _, k in to for _, c in k.copies}, seed)
        for n, link in enumerate(plans[t].matched):
            if link.parent == t:
                frame = _with_levels(frame, link, n, partial(_written_in, f"{work}/levels/{t}/{n}"))
        frame = written(frame, f"{work}/coded/{t}")
        _fit_targets(frame, plans[t], to)
        _fit_follows(frame, plans[t])
        _fit_by_code(frame, plans[t])
        note(f"codes of {t}")

    each(coded_tables(plans), code)


def _written_in(folder: str, df: DataFrame, name: str) -> DataFrame:
    return written(df, f"{folder}/{name}")


def _fit_targets(frame: DataFrame, plan: TablePlan, to: list[tuple[TablePlan, LinkPlan]]) -> None:
    """What the links that lead to a table are told of its clusters."""
    assert plan.code is not None
    for source, link in to:
        link.clusters = plan.code.clusters
        if not link.late and source.once_in_family(link.columns):
            linked = frame.where(F.col(f"__deg_{plan.degree_of(source.table, link.name)}") > 0).groupBy("__code")
            counts = {r["__code"]: r["count"] for r in linked.count().collect()}
            link.targets = tuple(counts.get(c, 0) for c in range(link.clusters))


def _with_levels(frame: DataFrame, link: LinkPlan, number: int, write: Write) -> DataFrame:
    """The frame with __level<number>, how deep each row lies by a self reference, if that can be told."""
    found = depths(frame, link, write)
    if found is None:
        return frame
    by_node, link.levels = found
    level = by_node.select(F.col("__node").alias("__lies"), F.col("__depth").alias(f"__level{number}"))
    return frame.join(level, node(link.parent_columns) == F.col("__lies")).drop("__lies")


def _fit_follows(frame: DataFrame, plan: TablePlan) -> None:
    """What follows from the code of a row where each has its own (at most encoding.clusters.ALONE rows)."""
    assert plan.code is not None
    if plan.code.clusters < plan.rows:
        return
    names = [f"__deg_{i}" for i in range(len(plan.degrees))] + [f"__sum_{i}" for i in range(len(plan.summaries))]
    inside = [(n, k) for n, k in enumerate(plan.matched) if k.levels]
    keys = [(node(k.columns).alias(f"__to{n}"), node(k.parent_columns).alias(f"__is{n}")) for n, k in inside]
    levels = [quoted(f"__level{n}") for n, _ in inside]
    named = [key_text([quoted(c) for c in k.columns]).isNotNull().alias(f"__named{n}") for n, k in inside]
    numbers = [quoted(n).cast("double").alias(n) for n in names]
    rows = frame.select("__code", *numbers, *levels, *named, *[c for pair in keys for c in pair]).toPandas()
    rows = rows.sort_values("__code", ignore_index=True)
    codes = [d.codec.encode(rows[f"__deg_{i}"].to_numpy(float)) for i, d in enumerate(plan.degrees)]
    for n, link in inside:
        to = rows[f"__to{n}"].map(rows.set_index(f"__is{n}")["__code"]) + int(link.nullable)
        code = to.where(rows[f"__level{n}"] > 0, 0).mask(rows[f"__named{n}"] & to.isna(), link.codes - 1).fillna(0)
        codes += [rows[f"__level{n}"].to_numpy(), code.to_numpy()]
    codes += [s.codec.encode(rows[f"__sum_{i}"].to_numpy(float)) for i, s in enumerate(plan.summaries)]
    plan.code.follows = np.stack(codes, axis=1).astype(int).tolist() if codes else []


def _fit_by_code(frame: DataFrame, plan: TablePlan) -> None:
    """The degrees in each cluster of a table that has too few rows to learn them from."""
    assert plan.code is not None
    if plan.rows > CODED_ROWS or not 1 < plan.code.clusters < plan.rows:
        return
    degrees = [F.array_sort(F.collect_list(F.col(f"__deg_{i}").cast("int"))) for i in range(len(plan.degrees))]
    found = frame.groupBy("__code").agg(F.array(*degrees).alias("degrees")).collect()
    by_code = {r["__code"]: r["degrees"] for r in found}
    for i, degree in enumerate(plan.degrees):
        degree.by_code = [list(by_code[c][i]) if c in by_code else [] for c in range(plan.code.clusters)]


def fit_blocks(
    rows: DataFrame, plan: TablePlan, plans: Mapping[str, TablePlan], ends: Mapping[str, DataFrame], alone: bool
) -> BlockPlan:
    """The edges of a join table by the codes at both ends; alone: by that of the link only.

    rows: the edges; ends: by table, the rows at either end with their codes.
    """
    owner, (link,) = plan.owner, plan.matched
    assert owner is not None
    by = plans[owner.parent].code
    for edge, name in ((owner, "__from"), (link, "__to")):
        keys = [quoted(c).alias(f"{name}{i}") for i, c in enumerate(edge.parent_columns)]
        found = ends[edge.parent].select(*keys, F.col("__code").alias(name))
        rows = rows.join(found, [quoted(c) == F.col(f"{name}{i}") for i, c in enumerate(edge.columns)], "left")
    assert by is not None
    lost = F.when(key_text([quoted(c) for c in link.columns]).isNull(), 0).otherwise(link.codes - 1)
    code = F.coalesce(F.col("__to") + int(link.nullable), lost).alias("__to")
    counts = np.zeros((by.clusters, link.codes), dtype=int)
    for r in rows.where("__from IS NOT NULL").groupBy("__from", code).count().collect():
        counts[r["__from"], r["__to"]] += r["count"]
    return BlockPlan(-1, [counts.sum(0).tolist()]) if alone else BlockPlan(by.at, counts.tolist())
