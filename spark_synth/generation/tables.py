"""All tables of a synthetic database, parents before children: each is one pass of Spark over blocks of families.

Rows are written once as Parquet below `work` with what later tables need (index, codes, degrees); late links are
filled when every table exists (generation.links).
"""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from spark_synth.encoding.encode import absent
from spark_synth.encoding.plan import DegreePlan, LinkPlan, OwnerPlan, TablePlan
from spark_synth.encoding.views import quoted, time_units
from spark_synth.generation.block import BlockJob, block_maker, output_fields
from spark_synth.generation.decode import computed, late_columns, typed_columns
from spark_synth.generation.degrees import exact_degrees, ownerless, segments
from spark_synth.generation.orphans import orphan_targets, reserved
from spark_synth.generation.run import Generation
from spark_synth.generation.structure import draw_links

SLACK = 0.01  # how far rows may be from the ratio before degrees are scaled to it
ROOT_BLOCK = 4096  # rows of a root table drawn together
BATCH_FAMILIES = 2048  # families drawn side by side: fewer leave most of the time to overhead
LEAST_BLOCK_ROWS, MOST_BLOCK_ROWS = 8192, 131072
NARROW = {"tinyint": 2**7 - 1, "smallint": 2**15 - 1, "int": 2**31 - 1}  # largest value of each


def generate_table(run: Generation, table: str) -> int:
    """Draw one table and write it to `work`; returns its rows. Its owner's table must be finished."""
    plan = run.plans[table]
    parent = any(table in p.sources for p in run.plans.values())
    cut, count, block_rows = _root_segments(run, plan) if plan.owner is None else _child_segments(run, plan)
    keys = max(count, plan.rows) + reserved(run, table)
    job = BlockJob(run.models, table, run.seed, count, keys, parent)
    fields = ", ".join(f"`{n}` {t}" for n, t in output_fields(plan, parent).items())
    blocks = max(1, -(-count // block_rows))
    if plan.structure:
        cut = draw_links(run, plan, cut, job, blocks)
    placed = cut.repartition(min(blocks, run.partitions or blocks), "block").sortWithinPartitions("block", "row")
    drawn = placed.mapInPandas(block_maker(job), fields)
    typed = assemble(drawn, plan, key_types(run, {table: count}))
    typed.write.mode("overwrite").parquet(f"{run.work}/{table}")
    return count


def assemble(drawn: DataFrame, plan: TablePlan, types: Mapping[tuple[str, str], str]) -> DataFrame:
    """Columns of the table in source order and types, then the hidden ones; matched links are still NULL."""
    made: dict[str, Column] = typed_columns(plan)
    made |= {c: F.col(f"o{i}") for i, (c, _) in enumerate(plan.owned)}
    made |= {c: F.col(f"l{i}") for i, c in enumerate(plan.early)}
    made |= {k.column: F.col(f"k{i}") for i, k in enumerate(plan.keys)}
    made |= {t.column: F.col(f"w{i}") for i, t in enumerate(plan.texts)}
    late = dict(computed(plan))
    hidden = [F.col(c) for c in drawn.columns if c.startswith("__")]
    hidden += late_columns(plan)
    first = [made.get(c, F.lit(None)).cast(types.get((plan.table, c), t)).alias(c) for c, t in plan.columns.items()]
    out = drawn.select(*first, *hidden)
    for name, expression in late.items():
        out = out.withColumn(name, expression)
    return out


def key_types(run: Generation, counts: Mapping[str, int]) -> dict[tuple[str, str], str]:
    """Key columns that need 64 bits because the synthetic keys run past theirs, and the foreign keys that follow."""
    wide: dict[tuple[str, str], str] = {}
    for t, plan in run.plans.items():
        count = (counts.get(t) or run.target(t) * 2) + reserved(run, t)
        for key in plan.keys:
            largest = NARROW.get(plan.columns[key.column])
            if key.how == "integer" and largest and key.start + count > largest and t not in run.kept:
                wide[t, key.column] = "bigint"
    changed = True
    while changed:
        changed = False
        for t, plan in run.plans.items():
            edges: list[LinkPlan | OwnerPlan] = [*plan.links, *([plan.owner] if plan.owner else [])]
            for edge in edges:
                for c, p in zip(edge.columns, edge.parent_columns, strict=True):
                    if (edge.parent, p) in wide and (t, c) not in wide:
                        wide[t, c] = "bigint"
                        changed = True
    return wide


def owner_degree(parent: TablePlan, child: TablePlan) -> tuple[int, DegreePlan]:
    """Which degree of the parent counts the rows of `child` under its owner key."""
    assert child.owner is not None
    found = [(i, d) for i, d in enumerate(parent.degrees) if d.table == child.table and d.edge == child.owner.name]
    return found[0]


def _root_segments(run: Generation, plan: TablePlan) -> tuple[DataFrame, int, int]:
    """Segments of the table, its rows, and the rows of a block."""
    count = run.target(plan.table)
    row, one, zero = F.col("id"), F.lit(1).cast("bigint"), F.lit(0).cast("bigint")
    cut = run.spark.range(count).select(
        F.lit(-1).cast("bigint").alias("__idx"),
        one.alias("size"),
        one.alias("segments"),
        zero.alias("segment"),
        zero.alias("start"),
        row.alias("row"),
        one.alias("rows"),
        F.floor(row / ROOT_BLOCK).alias("block"),
    )
    return cut, count, ROOT_BLOCK


def _child_segments(run: Generation, plan: TablePlan) -> tuple[DataFrame, int, int]:
    """Segments of the table, its rows, and the rows of a block."""
    owner = plan.owner
    assert owner is not None
    above = run.plans[owner.parent]
    at, degree = owner_degree(above, plan)
    parents = run.rows(owner.parent)
    keys = [quoted(c).cast("string").alias(f"o{i}") for i, (_, c) in enumerate(owner.taken)]
    base = F.lit(0).cast("bigint")
    if plan.time and plan.time.base:
        base = time_units(plan.time, quoted(plan.time.base), above.columns[plan.time.base])
    owners = [F.col("__context"), *([F.array(F.lit(0).cast("smallint"))] if owner.orphans else [])]
    context = F.concat(*owners).alias("__context")
    seen = parents.select("__idx", *keys, context, base.alias("base"), F.col(f"__deg_{at}"))
    total = round(degree.total * run.ratio)
    sized, owned = exact_degrees(seen, F.col(f"__deg_{at}"), degree, total, owner.parent in run.kept, SLACK)
    block_rows = _block_rows(degree)
    cut = segments(sized, run.segment_rows, block_rows).drop(f"__deg_{at}")
    free = round(owner.null_rows * run.ratio)
    if free:
        cut = cut.unionByName(ownerless(run.spark, free, owner.null_size, owned, block_rows), allowMissingColumns=True)
    lost = round(owner.orphans.rows * run.ratio) if owner.orphans else 0
    if lost:
        cut = cut.unionByName(_orphans(run, plan, owner, lost, owned + free, block_rows), allowMissingColumns=True)
    return cut, owned + free + lost, block_rows


def _orphans(run: Generation, plan: TablePlan, owner: OwnerPlan, rows: int, first: int, block_rows: int) -> DataFrame:
    """Segments of the families of `rows` orphans, with indices from `first`."""
    found = orphan_targets(run, plan.table, owner, rows).withColumn("first", F.col("first") + first)
    named = [F.col(f"__p{i}").alias(f"o{i}") for i in range(len(owner.columns))]
    context = F.concat(absent(len(plan.context_cards) - 1), F.array(F.lit(1).cast("smallint")))
    families = found.select("__idx", "size", "first", *named, context.alias("__context"))
    return segments(families, run.segment_rows, block_rows)


def _block_rows(degree: DegreePlan) -> int:
    """Rows per block: enough families to fill a batch, few enough to fit in memory."""
    families = sum(n for d, n in degree.histogram if d)
    return int(min(MOST_BLOCK_ROWS, max(LEAST_BLOCK_ROWS, BATCH_FAMILIES * degree.total / max(1, families))))
