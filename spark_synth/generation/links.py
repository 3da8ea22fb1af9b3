"""Foreign keys beyond the owner, filled when all rows exist: exact degrees on the target side, no cross join.

Every target row with degree d offers d stubs; the linking rows and the stubs are numbered, and row r takes stub
(a r + b) mod M with a near M times the golden ratio and coprime to M, so that the siblings of a family take stubs
that lie far apart. Both sides meet in one equi-join.
"""

from __future__ import annotations

import math

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from spark_synth.encoding.plan import LinkPlan, TablePlan
from spark_synth.encoding.views import quoted
from spark_synth.generation.degrees import GOLDEN, exact_degrees, running_total, spread
from spark_synth.generation.seeds import stream
from spark_synth.generation.separate import separate
from spark_synth.generation.tables import Generation

PIECE = 1024  # stubs of one target that are numbered together


def fill_links(run: Generation, table: str) -> DataFrame:
    """The rows of a table with every link to a non-reference table filled; hidden columns dropped."""
    plan = run.plans[table]
    rows = run.rows(table)
    for link in plan.links:
        if not link.reference and table not in run.kept:
            rows = _inside(run, rows, link) if link.parent == table else _matched(run, table, rows, link)
    if plan.unique and table not in run.kept:
        rows = _separated(run, plan, rows)
    return rows.select(*[quoted(c) for c in plan.columns])


def _separated(run: Generation, plan: TablePlan, rows: DataFrame) -> DataFrame:
    """`rows` in which no column set that may occur once is repeated."""
    work = f"{run.work}/_links/{plan.table}"
    rows.write.mode("overwrite").parquet(f"{work}/rows")
    rows = run.spark.read.parquet(f"{work}/rows")
    for i, unique in enumerate(plan.unique):
        inside = [k for k in plan.links if not k.reference and k.parent != plan.table and set(k.columns) <= set(unique)]
        seed, declared = stream(run.seed, "separate", plan.table, i), unique == plan.primary_key
        rows = separate(rows, unique, inside[-1].columns, seed, f"{work}/{i}", drop=declared)
    return rows


def _matched(run: Generation, table: str, rows: DataFrame, link: LinkPlan) -> DataFrame:
    """`rows` with one link matched to the stubs of its target."""
    wanting = F.col(f"`__has_{link.name}`").isNotNull() if link.nullable else F.lit(True)
    numbered, count = running_total(rows.withColumn("__want", wanting.cast("bigint")), "__want", None)
    if not count:
        return rows
    stubs = _stubs(run, table, link, count)
    taken = _permuted(F.col("first"), count, stream(run.seed, "link", table, link.name))
    nobody = -1 - F.col("__idx")  # a number for rows that want none, so that they do not all meet in one task
    asked = numbered.withColumn("__stub", F.when(F.col("size") == 1, taken).otherwise(nobody)).drop("first", "size")
    joined = spread(asked, "__stub", count).join(spread(stubs, "__stub", count), "__stub", "left")
    return _replaced(joined, rows, link)


def _stubs(run: Generation, table: str, link: LinkPlan, count: int) -> DataFrame:
    """(__stub from 0 to `count` - 1, __p0..): each target row as often as its degree."""
    target = run.plans[link.parent]
    at = next(i for i, d in enumerate(target.degrees) if d.table == table and d.edge == link.name)
    keys = [quoted(c).alias(f"__p{i}") for i, c in enumerate(link.parent_columns)]
    seen = run.rows(link.parent).select("__idx", *keys, F.col(f"__deg_{at}"))
    sized, _ = exact_degrees(seen, F.col(f"__deg_{at}"), target.degrees[at], count, real=link.parent in run.kept)
    return _numbered(sized, [f"__p{i}" for i in range(len(keys))], count)


def _numbered(sized: DataFrame, keys: list[str], count: int) -> DataFrame:
    """(__stub, `keys`): each row of `sized` once for every number from `first` to `first + size - 1`; `count` in all.

    Large degrees are cut into pieces that are dealt out to all tasks, so that a hub neither fills nor delays one.
    """
    last = F.col("first") + F.col("size") - 1
    starts = F.explode(F.sequence(F.col("first"), last, F.lit(PIECE).cast("bigint"))).alias("__stub")
    pieces = sized.where(F.col("size") > 0).select(starts, last.alias("__last"), *keys)
    pieces = spread(pieces, "__stub", count)
    inside = F.sequence(F.col("__stub"), F.least(F.col("__last"), F.col("__stub") + PIECE - 1))
    return pieces.select(F.explode(inside).alias("__stub"), *keys)


def _inside(run: Generation, rows: DataFrame, link: LinkPlan) -> DataFrame:
    """A self reference: each row that has one points at an earlier row, so there is no cycle; the first row at none."""
    wanting = F.col(f"`__has_{link.name}`").isNotNull() if link.nullable else F.lit(True)
    share = F.pmod(F.xxhash64(F.col("__idx"), F.lit(stream(run.seed, "self", link.name))), F.lit(1 << 30)) / F.lit(
        1 << 30
    )
    earlier = F.floor(share * F.col("__idx"))
    own = F.lit(None).cast("bigint") if link.nullable else F.col("__idx")
    asked = rows.withColumn("__stub", F.when(wanting, F.when(F.col("__idx") > 0, earlier).otherwise(own)))
    keys = [quoted(c).alias(f"__p{i}") for i, c in enumerate(link.parent_columns)]
    targets = rows.select(F.col("__idx").alias("__stub"), *keys)
    return _replaced(asked.join(targets, "__stub", "left"), rows, link)


def _replaced(joined: DataFrame, rows: DataFrame, link: LinkPlan) -> DataFrame:
    """The columns of `rows`, those of the link taken from the matched target."""
    found = {c: F.col(f"__p{i}").alias(c) for i, c in enumerate(link.columns)}
    return joined.select(*[found.get(c, quoted(c)) for c in rows.columns])


def _permuted(row: Column, count: int, seed: int) -> Column:
    """A bijection of 0..count-1."""
    factor = max(1, int(count * GOLDEN))
    while math.gcd(factor, count) != 1:
        factor += 1
    wide = "decimal(38,0)"
    return F.pmod(
        row.cast(wide) * F.lit(factor).cast(wide) + F.lit(seed % count).cast(wide), F.lit(count).cast(wide)
    ).cast("bigint")
