"""Some families of a table drawn again in the place of the old ones, and whatever their rows own.

What other rows rely on stays: the keys of the rows, how many hang on each, and the cluster of each. Families are drawn
whole, since their rows are in order and make up what their owner tells of them. Links lead to the targets of the rows
that go, so that every target keeps its degree.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from spark_synth.encoding.at_once import written
from spark_synth.encoding.edge_plan import Edge
from spark_synth.encoding.plan import TablePlan
from spark_synth.encoding.views import quoted
from spark_synth.errors import UserError
from spark_synth.generation.families import by_segment, families_of, owners
from spark_synth.generation.run import Generation, Part


def part_of(plans: Mapping[str, TablePlan], table: str) -> list[str]:
    """The table, and those whose rows its rows own, at any distance; owners first. UserError where they cannot be drawn
    in part."""
    found = [table]
    for t, plan in plans.items():  # in generation order
        if plan.owner and plan.owner.parent in found and t != table:
            found.append(t)
    for t in found:
        _refuse_drawn_together(plans, t)
    for t, plan in plans.items():
        for edge in plan.edges:
            if edge.parent in found and not (t in found and edge is plan.owner):
                _refuse_loose(plans, found, t, edge)
    return found


def forced(plan: TablePlan) -> list[int]:
    """The sub-columns in which a row that takes the place of another is like it: degrees and cluster."""
    return [*(d.at for d in plan.degrees), *([plan.code.at] if plan.code else [])]


def begin_part(before: Generation, run: Generation, table: str, chosen: DataFrame | None) -> Generation:
    """`run`, ready to draw part of `table`. before: the database as it is, all of whose rows that matter are drawn.

    chosen: __idx of rows whose families are drawn again; None for a table whose owners are.
    """
    plan, folder = run.plans[table], f"{run.work}/_part/{table}"
    families = families_of(before, plan)
    cut = _families(families.cut, chosen) if chosen else _owned(run, plan, families.cut)
    cut = written(cut, f"{folder}/families")
    inside = written(cut.select(F.col("row").alias("__segment"), _rows().alias("__idx")), f"{folder}/rows")
    if at := forced(plan):
        zero = F.lit(0).cast("smallint")  # of rows that were left out, as they would have repeated others
        told = F.array(*[F.coalesce(F.col("__context").getItem(j), zero) for j in at]).alias("__forced")
        rows = inside.join(before.rows(table).select("__idx", "__context"), "__idx", "left")
        known = by_segment(rows.select("__segment", "__idx", told), ["__forced"])
        cut = cut.join(known, F.col("row") == F.col("__segment")).drop("__segment")
    written(cut, f"{folder}/segments")
    part = Part(folder, before.rows_at(table), families.count, families.keys, families.blocks, before.seed_of(table))
    return replace(run, part={**run.part, table: part})


def with_part(run: Generation, plan: TablePlan, drawn: DataFrame) -> DataFrame:
    """All rows of a table: `drawn` ones, with the keys and degrees of those whose place they take, and the others."""
    part = run.part[plan.table]
    old = run.spark.read.parquet(part.old)
    stays = [k.column for k in plan.keys] + [f"__deg_{i}" for i in range(len(plan.degrees))]
    kept = old.select("__idx", *map(quoted, stays))
    new = drawn.drop(*stays).join(kept, "__idx").select(*map(quoted, old.columns))
    new = written(new, f"{part.folder}/new")
    return old.join(new.select("__idx"), "__idx", "left_anti").unionByName(new)


def going(run: Generation, table: str) -> DataFrame:
    """The rows of a table whose place others take."""
    part = run.part[table]
    rows = run.spark.read.parquet(f"{part.folder}/rows").select("__idx")
    return run.spark.read.parquet(part.old).join(rows, "__idx", "left_semi")


def freed(run: Generation, plan: TablePlan, link: Edge, targets: DataFrame, degree: str) -> DataFrame:
    """The `targets` (with __p0.., their keys) of rows that go, by `link`; their `degree` is how many have each."""
    keys = [quoted(c).cast("string").alias(f"__f{i}") for i, c in enumerate(link.columns)]
    counts = going(run, plan.table).groupBy(*keys).agg(F.count(F.lit(1)).alias("__freed"))
    match = [F.col(f"__p{i}").cast("string") == F.col(f"__f{i}") for i in range(len(keys))]
    found = targets.join(counts, match).withColumn(degree, F.col("__freed"))
    return found.select(*targets.columns)


def _families(cut: DataFrame, chosen: DataFrame) -> DataFrame:
    """The segments of the families that have a row of `chosen` (__idx)."""
    cut = cut.withColumn("__first", F.col("row") - F.col("start"))
    rows = cut.select("__first", _rows().alias("__idx"))
    found = rows.join(chosen.select("__idx"), "__idx", "left_semi").select("__first").distinct()
    return cut.join(found, "__first", "left_semi").drop("__first")


def _owned(run: Generation, plan: TablePlan, cut: DataFrame) -> DataFrame:
    """The segments of the families of rows that were drawn again, with what these tell now."""
    owner = plan.owner
    assert owner is not None
    again = run.spark.read.parquet(f"{run.part[owner.parent].folder}/new").select("__idx")
    above = owners(run, plan, owner).join(again, "__idx", "left_semi")
    above = above.select("__idx", *[c for c in above.columns if c in cut.columns and c != "__idx"])
    lost = F.element_at("__context", -1) == 1 if owner.orphans else F.lit(False)
    own = cut.where(F.col("o0").isNotNull() & ~lost)  # neither without an owner nor under one that is not there
    return own.drop(*[c for c in above.columns if c != "__idx"]).join(above, "__idx").select(*cut.columns)


def _rows() -> Column:
    """The rows of a segment, one each."""
    return F.explode(F.sequence("row", F.col("row") + F.col("rows") - 1))


def _refuse_drawn_together(plans: Mapping[str, TablePlan], table: str) -> None:
    """UserError where rows of a table are not drawn family by family."""
    plan = plans[table]
    joined = next((t for t, p in plans.items() if any(s.table == table for s in p.sets)), None)
    joined = joined or next((s.table for s in plan.sets), None)
    late = next((k for k in plan.matched if k.late), None)
    why = f"are drawn together with those of {joined}" if joined else ""
    why = f"refer to {late.parent} ({', '.join(late.columns)}) once all are drawn" if late else why
    if why:
        raise UserError(f"--where: rows of {table} {why}: draw the whole table again, without --where")


def _refuse_loose(plans: Mapping[str, TablePlan], part: Collection[str], table: str, edge: Edge) -> None:
    """UserError where rows that are not drawn again say what those that are say now."""
    changing = set(edge.parent_columns) - _stable(plans, part, edge.parent)
    changing |= {c for _, c in (*edge.copies, *edge.onward)} if table not in part else set()
    if changing:
        raise UserError(
            f"--where: rows of {table} repeat {', '.join(sorted(changing))} of {edge.parent}, which would change: draw "
            "the whole table again, without --where"
        )


def _stable(plans: Mapping[str, TablePlan], part: Collection[str], table: str) -> set[str]:
    """Columns of a table that rows drawn again have as before."""
    plan = plans[table]
    found = {k.column for k in plan.keys}
    if plan.owner:
        above = plan.owner.parent
        same = _stable(plans, part, above) if above in part and above != table else set(plan.owner.parent_columns)
        found |= {c for c, p in zip(plan.owner.columns, plan.owner.parent_columns, strict=True) if p in same}
    return found
