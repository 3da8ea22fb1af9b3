"""All tables of a synthetic database, parents before children: each is one pass of Spark over blocks of families.

Rows are written once as Parquet below `work` with what later tables need (index, codes, degrees); late links are
filled when every table exists (generation.links).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from spark_synth.encoding.at_once import written
from spark_synth.encoding.plan import TablePlan
from spark_synth.encoding.room import reference_room
from spark_synth.generation.block import block_maker, output_fields
from spark_synth.generation.codes import BlockJob
from spark_synth.generation.decode import computed, late_columns, same_columns, typed_columns
from spark_synth.generation.degrees import as_in_clusters
from spark_synth.generation.families import families_of
from spark_synth.generation.key_types import key_types
from spark_synth.generation.part import forced, with_part
from spark_synth.generation.quotas import reference_columns, settled
from spark_synth.generation.raking import raked
from spark_synth.generation.run import Generation
from spark_synth.generation.structure import known_rows

Draw = Callable[[DataFrame, Sequence[int]], DataFrame]


def generate_table(run: Generation, table: str) -> int:
    """Draw one table and write it to `work`; returns its rows. Its owner's table must be finished."""
    rows, count = draw_table(run, table)
    rows.write.mode("overwrite").parquet(f"{run.work}/{table}")
    return count


def is_final(run: Generation, table: str) -> bool:
    """Whether the rows of a table are as they will be once they are drawn, and no other table is made from them: they
    need not be written but once."""
    plan = run.plans[table]
    return not (plan.unique or any(link.late for link in plan.matched) or run.is_above(table))


def draw_table(run: Generation, table: str) -> tuple[DataFrame, int]:
    """The rows of one table with their hidden columns, drawn each time they are asked for; and how many they are."""
    plan, parent = run.plans[table], run.is_above(table)
    families = families_of(run, plan)
    room, references = reference_room(plan), reference_columns(plan)
    used = run.used.get(table, 0)
    job = BlockJob(run.models, table, run.seed_of(table), families.count, families.keys, parent, room=room, used=used)
    if plan.structure:
        cut = known_rows(run, plan, families)
    else:
        cut = families.cut
        again = table in run.part
        job = replace(job, forced=forced(plan)) if again else replace(job, tilt=raked(run, plan, families, job))

    def draw(segments: DataFrame, given: Sequence[int] = ()) -> DataFrame:
        maker = block_maker(replace(job, given=given))
        return run.per_block(segments, families.blocks, maker, output_fields(plan, parent))

    drawn = _with_quotas(run, plan, cut, draw, references) if references else draw(cut)
    typed = assemble(drawn.drop("__segment"), plan, key_types(run, {table: families.count}))
    rows = with_part(run, plan, typed) if table in run.part else as_in_clusters(typed, plan)
    return rows, families.count


def _with_quotas(run: Generation, plan: TablePlan, cut: DataFrame, draw: Draw, references: Sequence[int]) -> DataFrame:
    """The rows of segments `cut`; those with rows that should have other reference keys are drawn again with these."""
    work = f"{run.work}/_settled/{plan.table}"
    cut = written(cut, f"{work}/segments")
    first = written(draw(cut, ()), f"{work}/drawn")
    moved = written(settled(run, plan, first), f"{work}/moved")
    again = draw(cut.join(moved, F.col("row") == F.col("__segment")).drop("__segment"), references)
    return first.join(moved, "__segment", "left_anti").unionByName(again)


def assemble(drawn: DataFrame, plan: TablePlan, types: Mapping[tuple[str, str], str]) -> DataFrame:
    """Columns of the table in source order and types, then the hidden ones; late links are still NULL."""
    made: dict[str, Column] = typed_columns(plan)
    made |= {c: F.col(name) for c, name in plan.drawn.items()}
    made |= {k.column: F.col(f"k{i}") for i, k in enumerate(plan.keys)}
    made |= {t.column: F.col(f"w{i}") for i, t in enumerate(plan.texts)}
    made |= same_columns(plan, made)
    late = dict(computed(plan))
    hidden = [F.col(c) for c in drawn.columns if c.startswith("__")]
    hidden += late_columns(plan)
    first = [made.get(c, F.lit(None)).cast(types.get((plan.table, c), t)).alias(c) for c, t in plan.columns.items()]
    out = drawn.select(*first, *hidden)
    for name, expression in late.items():
        out = out.withColumn(name, expression)
    return out
