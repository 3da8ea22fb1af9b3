"""Foreign keys beyond the owner: which row of its target each row is linked to.

Most links are matched before the values of a row are drawn (generation.structure). What is filled here, when all rows
exist, are links into the table itself and those that open a cycle.
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from spark_synth.encoding.at_once import written
from spark_synth.encoding.plan import LinkPlan, TablePlan
from spark_synth.encoding.views import quoted
from spark_synth.generation.degrees import exact_degrees, exact_units
from spark_synth.generation.levels import link_levels
from spark_synth.generation.matching import match
from spark_synth.generation.orphans import orphan_targets, with_orphans
from spark_synth.generation.run import Generation
from spark_synth.generation.seeds import stream
from spark_synth.generation.separate import separate, without_repeats


def fill_links(run: Generation, table: str) -> DataFrame:
    """The rows of a table with its late links filled; hidden columns dropped."""
    plan = run.plans[table]
    rows = run.rows(table)
    if table not in run.kept:
        late = [n for n, link in enumerate(plan.matched) if link.late]
        for n in late:
            rows = _filled(run, rows, plan, n)
            if plan.unique or n != late[-1]:
                rows = written(rows, f"{run.linking(table, plan.matched[n])}/rows")
        if plan.unique:
            rows = _separated(run, plan, rows)
    return rows.select(*[quoted(c) for c in plan.columns])


def _filled(run: Generation, rows: DataFrame, plan: TablePlan, number: int) -> DataFrame:
    """`rows` with the late link of that number."""
    link = plan.matched[number]
    code = F.col(f"__late_{number}").cast("int") - int(link.nullable)
    cell = F.when(code >= 0, code)
    if link.parent != plan.table:
        return _replaced(link_rows(run, plan.table, rows, link, cell), rows, link)
    return _by_level(run, rows, plan, number, cell) if link.levels else _to_earlier(run, rows, link, cell)


def link_rows(run: Generation, table: str, rows: DataFrame, link: LinkPlan, cell: Column) -> DataFrame:
    """`rows` with __p0.., the key of the row that each is linked to, and where it was matched (see matching.match).

    cell: the cluster of the target, the one after the last for orphans, NULL for rows without a target.
    """
    target, at = run.plans[link.parent], run.degree_of(table, link)
    assert target.code is not None
    keys = [quoted(c).alias(f"__p{i}") for i, c in enumerate(link.parent_columns)]
    offered = F.col("__context").getItem(target.code.at).cast("int").alias("__cell")
    seen = run.ends(link.parent).select("__idx", offered, *keys, F.col(f"__deg_{at}"))
    asking = rows.withColumn("__cell", cell)
    count = asking.where(F.col("__cell") < link.clusters).count()
    degree, plan = F.col(f"__deg_{at}"), target.degrees[at]
    if plan.unique and count <= seen.count():
        sized = exact_units(seen, degree, count)
    else:
        sized, _ = exact_degrees(seen, degree, plan, count, real=link.parent in run.kept)
    names = [f"__p{i}" for i in range(len(keys))]
    if link.orphans:
        sized = with_orphans(run, table, link, sized, asking.where(F.col("__cell") == link.clusters), link.clusters)
    sized = written(sized, f"{run.linking(table, link)}/targets")
    cells = link.clusters + bool(link.orphans)
    once = run.plans[table].once_in_family(link.columns)
    return match(asking, sized, cells, stream(run.seed, "link", table, link.name), names, once)


def _separated(run: Generation, plan: TablePlan, rows: DataFrame) -> DataFrame:
    """`rows` in which no column set that may occur once is repeated."""
    for i, unique in enumerate(plan.unique):
        inside = [k.columns for k in plan.matched if k.parent != plan.table and set(k.columns) <= set(unique)]
        seed, declared = stream(run.seed, "separate", plan.table, i), unique == plan.primary_key
        if inside:
            rows = separate(rows, unique, inside[-1], seed, f"{run.work}/_separated/{plan.table}/{i}", drop=declared)
        elif declared:  # foreign keys into reference tables alone, which generation.quotas has exchanged
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
    share = F.pmod(F.xxhash64(F.col("__idx"), F.lit(stream(run.seed, "self", link.name))), F.lit(1 << 30)) / F.lit(
        1 << 30
    )
    earlier = F.floor(share * F.col("__idx"))
    own = F.lit(None).cast("bigint") if link.nullable else F.col("__idx")
    stub = F.when(cell.isNotNull(), F.when(F.col("__idx") > 0, earlier).otherwise(own))
    keys = [quoted(c).alias(f"__p{i}") for i, c in enumerate(link.parent_columns)]
    targets = rows.select(F.col("__idx").alias("__stub"), *keys)
    if link.orphans:
        lost = cell == link.clusters
        made = orphan_targets(run, link.parent, link, rows.where(lost).count())
        typed = [F.col(f"__p{i}").cast(targets.schema[f"__p{i}"].dataType).alias(f"__p{i}") for i in range(len(keys))]
        stub = F.when(lost, -1 - F.floor(share * made.count())).otherwise(stub)
        targets = targets.unionByName(made.select((-1 - F.col("__idx")).alias("__stub"), *typed))
    asked = rows.withColumn("__stub", stub)
    return _replaced(asked.join(targets, "__stub", "left"), rows, link)


def _replaced(joined: DataFrame, rows: DataFrame, link: LinkPlan) -> DataFrame:
    """The columns of `rows`, those of the link taken from the matched target."""
    found = {c: F.col(f"__p{i}").alias(c) for i, c in enumerate(link.columns)}
    return joined.select(*[found.get(c, quoted(c)) for c in rows.columns])
