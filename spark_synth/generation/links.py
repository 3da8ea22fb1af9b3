"""Foreign keys beyond the owner: which row of its target each row is linked to.

Most links are matched before the values of a row are drawn (generation.structure). What is filled here, when all rows
exist, are links into the table itself and those that open a cycle.
"""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from spark_synth.encoding.at_once import written
from spark_synth.encoding.edge_plan import LinkPlan
from spark_synth.encoding.plan import TablePlan
from spark_synth.encoding.views import quoted
from spark_synth.generation.degrees import exact_degrees, exact_units
from spark_synth.generation.levels import link_levels
from spark_synth.generation.matching import match
from spark_synth.generation.orphans import orphan_targets, with_orphans
from spark_synth.generation.part import freed
from spark_synth.generation.run import Generation
from spark_synth.generation.seeds import stream
from spark_synth.generation.separate import separate, without_repeats
from spark_synth.generation.totals import with_totals
from spark_synth.generation.within import match_within, with_partners


def fill_links(run: Generation, table: str) -> DataFrame:
    """The rows of a table with its late links filled; hidden columns dropped."""
    return filled(run, table).select(*[quoted(c) for c in run.plans[table].columns])


def filled(run: Generation, table: str) -> DataFrame:
    """The rows of a table with its late links filled, and its hidden columns."""
    plan = run.plans[table]
    rows = run.rows(table)
    if table not in run.kept and table not in run.at:  # whose rows are finished
        late = [n for n, link in enumerate(plan.matched) if link.late]
        for n in late:
            rows = _filled(run, rows, plan, n)
            if plan.unique or n != late[-1]:
                rows = written(rows, f"{run.linking(table, plan.matched[n])}/rows")
        if plan.unique:
            rows = _separated(run, plan, rows)
    return rows


def _filled(run: Generation, rows: DataFrame, plan: TablePlan, number: int) -> DataFrame:
    """`rows` with the late link of that number."""
    link = plan.matched[number]
    code = F.col(f"__late_{number}").cast("int") - int(link.nullable)
    cell = F.when(code >= 0, code)
    if link.parent != plan.table:
        return _replaced(link_rows(run, plan, rows, link, cell, {c: c for c in plan.columns}), rows, link)
    return _by_level(run, rows, plan, number, cell) if link.levels else _to_earlier(run, rows, link, cell)


def link_rows(
    run: Generation, plan: TablePlan, rows: DataFrame, link: LinkPlan, cell: Column, names: Mapping[str, str]
) -> DataFrame:
    """`rows` with __p0.., the key of the row that each is linked to, and where it was matched (see matching.match).

    cell: the cluster of the target, the one after the last for orphans, NULL for rows without a target. names: column
    of the table -> column of `rows`, of what the link shares with others.
    """
    table, target, at = plan.table, run.plans[link.parent], run.degree_of(plan.table, link)
    assert target.code is not None
    keys = [quoted(c).alias(f"__p{i}") for i, c in enumerate(link.parent_columns)]
    offered = F.col("__context").getItem(target.code.at).cast("int").alias("__cell")
    seen = run.ends(link.parent).select("__idx", offered, *keys, F.col(f"__deg_{at}"))
    part = table in run.part
    if part:
        seen = freed(run, plan, link, seen, f"__deg_{at}")
    asking = rows.withColumn("__cell", cell)
    count = asking.where(F.col("__cell") < link.clusters).count()
    degree, counts = F.col(f"__deg_{at}"), target.degrees[at]
    own = {c: f"__p{i}" for i, c in enumerate(link.columns)}
    seen, most = with_partners(run, plan, seen, own, link)
    if not link.within:
        seen = with_totals(run, plan, link, seen)
    if counts.unique and count <= seen.count():
        sized = exact_units(seen, degree, count)
    else:
        sized, _ = exact_degrees(seen, degree, counts, count, part or link.parent in run.kept, most=most)
    if link.orphans:
        sized = with_orphans(run, table, link, sized, asking.where(F.col("__cell") == link.clusters), link.clusters)
    sized = written(sized, f"{run.linking(table, link)}/targets")
    seed, ends = stream(run.links_seed(table), "link", table, link.name), list(own.values())
    if link.within:
        within = [(names[c], own[c]) for c, _ in link.within]
        return match_within(asking, sized, within, seed, ends, counts.unique, run.linking(table, link))
    cells = link.clusters + bool(link.orphans)
    return match(asking, sized, cells, seed, ends, plan.once_in_family(link.columns))


def _separated(run: Generation, plan: TablePlan, rows: DataFrame) -> DataFrame:
    """`rows` in which no column set that may occur once is repeated."""
    for i, unique in enumerate(plan.unique):
        free = [k for k in plan.exchangeable(unique) if k.parent != plan.table and not k.within]
        seed, declared = stream(run.links_seed(plan.table), "separate", plan.table, i), unique == plan.primary_key
        if free:
            work = f"{run.work}/_separated/{plan.table}/{i}"
            rows = separate(rows, unique, free[-1].columns, seed, work, drop=declared)
        elif declared:  # what generation.quotas and structure have exchanged, as far as that goes
            rows = without_repeats(rows, unique)
    return rows


def _by_level(run: Generation, rows: DataFrame, plan: TablePlan, number: int, cell: Column) -> DataFrame:
    """A self reference by level: rows of the first level refer to none, or to themselves where none would not do."""
    link = plan.matched[number]
    linked = link_levels(run, rows, plan, link, cell, f"__level_{number}")
    for i, c in enumerate(() if link.nullable else link.parent_columns):
        linked = linked.withColumn(f"__p{i}", F.coalesce(f"__p{i}", quoted(c)))
    return _replaced(linked, rows, link)


def _to_earlier(run: Generation, rows: DataFrame, link: LinkPlan, cell: Column) -> DataFrame:
    """A self reference whose levels are not told: rows that have one point at an earlier row, so there is no circle."""
    seed = F.lit(stream(run.links_seed(link.parent), "self", link.name))
    share = F.pmod(F.xxhash64(F.col("__idx"), seed), F.lit(1 << 30)) / F.lit(1 << 30)
    shared = [quoted(c).alias(f"__g{i}") for i, (c, _) in enumerate(link.within)]
    group = [f"__g{i}" for i in range(len(shared))]
    inside = F.row_number().over(Window.partitionBy(*group).orderBy("__idx")).cast("bigint") - 1
    placed = rows.select("*", *shared).withColumn("__at", inside if shared else F.col("__idx"))
    earlier = F.floor(share * F.col("__at"))
    own = F.lit(None).cast("bigint") if link.nullable else F.col("__at")
    stub = F.when(cell.isNotNull(), F.when(F.col("__at") > 0, earlier).otherwise(own))
    keys = [quoted(c).alias(f"__p{i}") for i, c in enumerate(link.parent_columns)]
    targets = placed.select(F.col("__at").alias("__stub"), *keys, *group)
    if link.orphans:
        lost = cell == link.clusters
        made = orphan_targets(run, link.parent, link, rows.where(lost).count())
        typed = [F.col(f"__p{i}").cast(targets.schema[f"__p{i}"].dataType).alias(f"__p{i}") for i in range(len(keys))]
        stub = F.when(lost, -1 - F.floor(share * made.count())).otherwise(stub)
        targets = targets.unionByName(made.select((-1 - F.col("__idx")).alias("__stub"), *typed))
    asked = placed.withColumn("__stub", stub)
    return _replaced(asked.join(targets, ["__stub", *group], "left"), rows, link)


def _replaced(joined: DataFrame, rows: DataFrame, link: LinkPlan) -> DataFrame:
    """The columns of `rows`, those of the link taken from the matched target."""
    found = {c: F.col(f"__p{i}").alias(c) for i, c in link.brings.items()}
    return joined.select(*[found.get(c, quoted(c)) for c in rows.columns])
