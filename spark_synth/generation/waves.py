"""Waves: rows that are added to a synthetic database, whose keys are none of those that are there.

Within a wave everything is as in a database of its own: its rows have their own indices, degrees and links. What holds
over all waves is told here: the numbers that keys are made from go on where earlier waves ended, places below an owner
that is kept do too, a text that may occur once gets a mark if it is there, and other values that may occur once, if
kept rows alone could bring them again, are left out.
"""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_synth.encoding.edge_plan import Edge, OwnerPlan
from spark_synth.encoding.keys import used_up
from spark_synth.encoding.plan import TablePlan
from spark_synth.encoding.unique_text import tagged_column
from spark_synth.encoding.views import quoted
from spark_synth.errors import UserError
from spark_synth.generation.orphans import reserved
from spark_synth.generation.run import Generation


def numbers_used(run: Generation, table: str, rows: int) -> int:
    """Numbers that a wave of so many rows of a table uses up for keys."""
    plan, spare = run.plans[table], reserved(run, table)
    return used_up(plan.keys, rows, max(rows, plan.rows) + spare, spare > 0)


def with_places(run: Generation, plan: TablePlan, owner: OwnerPlan, families: DataFrame) -> DataFrame:
    """`families` (with o0.., the keys of owners), with how many places under it earlier waves have taken, as __before,
    where owners are kept and rows are numbered within a family (the lines of an order)."""
    numbered = [k.column for k in plan.keys if k.how == "position"]
    if run.there is None or owner.parent not in run.kept or not numbered:
        return families
    names = [f"__w{i}" for i in range(len(owner.columns))]
    keys = [quoted(c).cast("string").alias(n) for c, n in zip(owner.columns, names, strict=True)]
    last = F.greatest(*map(quoted, numbered), F.lit(0)).cast("bigint")
    taken = run.there(plan.table).groupBy(*keys).agg(F.max(last).alias("__before"))
    match = [F.col(f"o{i}") == F.col(n) for i, n in enumerate(names)]
    return families.join(taken, match, "left").drop(*names)


def check_wave(run: Generation) -> None:
    """UserError where rows of a wave may have to be left out to which others would refer."""
    for t, repeated in may_repeat(run).items():
        below = [c for c, plan in run.plans.items() if c not in run.kept and any(e.parent == t for e in plan.edges)]
        if below:
            raise UserError(
                f"--append: rows of {t} ({', '.join(repeated[0])}) could repeat those that are there, and {below[0]} "
                "refers to them: generate another database instead"
            )


def may_repeat(run: Generation) -> dict[str, list[tuple[str, ...]]]:
    """By table, columns whose values occur once together, and which a wave may repeat: no key of a new row is among
    them."""
    fresh, found = _fresh_columns(run), {}
    for t, plan in run.plans.items():
        once = [tuple(plan.primary_key), *map(tuple, plan.unique)]
        once += [e.columns for e in plan.edges if e.parent in run.kept and _alone(run.plans[e.parent], t, e)]
        repeated = [c for c in dict.fromkeys(once) if c and not any((t, x) in fresh for x in c)]
        if repeated and t not in run.kept:
            found[t] = repeated
    return found


def without_repeats(run: Generation, table: str, rows: DataFrame) -> DataFrame:
    """`rows` of a wave without those that repeat what may occur once and is there."""
    if run.there is None:
        return rows
    for columns in may_repeat(run).get(table, []):
        names = [f"__w{i}" for i in range(len(columns))]
        there = run.there(table).select(*[quoted(c).alias(n) for c, n in zip(columns, names, strict=True)])
        same = [quoted(c) == F.col(n) for c, n in zip(columns, names, strict=True)]
        rows = rows.join(there, same, "left_anti")
    return rows


def with_own_texts(run: Generation, table: str, rows: DataFrame) -> DataFrame:
    """`rows` of a wave whose texts, in columns where none occurs twice, are none of those that are there.

    Such texts are spelled from numbers that earlier waves did not use, but two numbers may spell one text where the
    waves differ in size: that one is marked then.
    """
    mark = f"w{run.used.get(table, 0)}"  # of this wave alone
    for text in run.plans[table].texts:
        if text.unique and run.there is not None:
            own = quoted(text.column)
            there = run.there(table).select(own.alias("__w"))
            new = F.when(F.col("__w").isNotNull(), tagged_column(own, mark)).otherwise(own)
            rows = rows.join(there, own == F.col("__w"), "left").withColumn(text.column, new).drop("__w")
    return rows


def _fresh_columns(run: Generation) -> set[tuple[str, str]]:
    """(table, column) of all values that no earlier wave has: keys and texts that are made, and keys that lead to new
    rows."""
    new = {t: plan for t, plan in run.plans.items() if t not in run.kept}
    fresh = {(t, k.column) for t, plan in new.items() for k in plan.keys if k.how != "position"}
    fresh |= {(t, text.column) for t, plan in new.items() for text in plan.texts if text.unique}
    pairs = [
        ((t, c), (e.parent, p))
        for t, plan in new.items()
        for e in plan.edges
        for c, p in zip(e.columns, e.parent_columns, strict=True)
    ]
    while more := {own for own, above in pairs if above in fresh} - fresh:
        fresh |= more
    return fresh


def _alone(above: TablePlan, table: str, edge: Edge) -> bool:
    """Whether no row of the table that `edge` leads to has two that lead to it."""
    found = [d for d in above.degrees if (d.table, d.edge) == (table, edge.name)]
    return bool(found) and found[0].unique
