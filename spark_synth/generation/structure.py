"""Structure before values: the degrees and link codes of a table's rows, the rows they are linked to, and what these
show, brought together for every segment, so that the values of its rows can be drawn given all that.

Edge first (Xu et al., ICLR 2023): the links of a join table may be drawn when the rows that they lead to have degrees
and codes only; the values of these are then drawn given a set of the rows that they are joined with.
"""

from __future__ import annotations

from dataclasses import replace

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from spark_synth.encoding.at_once import written
from spark_synth.encoding.join_plan import SetPlan
from spark_synth.encoding.linked import in_order, or_nothing, shown_by
from spark_synth.encoding.plan import TablePlan
from spark_synth.encoding.sets import member, nobody, sampled
from spark_synth.encoding.views import quoted
from spark_synth.generation.block import structure_fields, structure_maker
from spark_synth.generation.codes import BlockJob
from spark_synth.generation.degrees import as_in_clusters
from spark_synth.generation.families import Families, by_segment, families_of
from spark_synth.generation.key_types import key_types
from spark_synth.generation.links import link_rows
from spark_synth.generation.part import forced
from spark_synth.generation.raking import cell_of, raked, room_of
from spark_synth.generation.run import Generation
from spark_synth.generation.seeds import stream
from spark_synth.generation.separate import redirected, separate


def known_rows(run: Generation, plan: TablePlan, families: Families) -> DataFrame:
    """The segments of a table with what is known of their rows before values are drawn, rows after each other: `fixed`
    (codes), l0.. (what is taken from linked rows) and, edge first, `sets` (codes of the rows they are joined with).
    """
    if run.edges_first(plan.table):
        rows, cut = run.spark.read.parquet(f"{run.structure(plan.table)}/rows"), families.cut
    else:
        rows, cut = draw_structure_of(run, plan, families)
    names = ["fixed", *(f"l{i}" for i in range(len(plan.early)))]
    if plan.sets:
        rows = _with_sets(run, plan, rows, families)
        names.append("sets")
    arrays = by_segment(_with_fixed(run, plan, rows), names)
    return cut.join(arrays, F.col("row") == F.col("__segment")).drop("__segment")


def draw_structure_of(run: Generation, plan: TablePlan, families: Families) -> tuple[DataFrame, DataFrame]:
    """(rows, segments), both written: __idx, __segment, o0.. and l0.. (keys of owner and linked rows), __codes."""
    work = run.structure(plan.table)
    families = replace(families, cut=written(families.cut, f"{work}/segments"))
    seed, used = run.links_seed(plan.table), run.used.get(plan.table, 0)
    job = BlockJob(run.models, plan.table, seed, families.count, families.keys, parent=False, used=used)
    job = replace(job, room=room_of(run, plan))
    if plan.table in run.part:  # whose links have the targets, and the clusters, of the rows that go
        job = replace(job, forced=() if plan.blocks else forced(plan))
    else:
        job = replace(job, tilt=raked(run, plan, families, job))
    drawn = run.per_block(families.cut, families.blocks, structure_maker(job), structure_fields(plan))
    rows = written(drawn, f"{work}/drawn")
    for n, link in enumerate(k for k in plan.matched if not k.late):
        matched = link_rows(run, plan, rows, link, cell_of(link), plan.drawn)
        named = [F.col(f"__p{i}").cast("string").alias(plan.drawn[c]) for i, c in link.brings.items()]
        places = [F.col(c).alias(f"{c}{n}") for c in ("__slot", "__low", "__span")]
        rows = written(matched.select(*[c for c in rows.columns], *named, *places), f"{work}/{n}")
    return written(_separated(run, plan, rows, work), f"{work}/rows"), families.cut


def _separated(run: Generation, plan: TablePlan, rows: DataFrame, work: str) -> DataFrame:
    """`rows` in which foreign keys that may occur together once do, as far as exchanges inside a cluster go."""
    names, early = plan.drawn, [k for k in plan.matched if not k.late]
    for i, unique in enumerate(plan.unique):
        free = plan.exchangeable(unique)
        inside = [n for n, k in enumerate(early) if k in free]
        if inside and set(unique) <= set(names):
            n = inside[-1]
            drawn, columns = [names[c] for c in unique], [names[c] for c in early[n].brings.values()]
            cell, only = (f"__low{n}", f"__span{n}"), bool(early[n].within)
            numbered = rows.withColumn("__row", F.col("__idx")).withColumn("__idx", F.col(f"__slot{n}"))
            seed = stream(run.links_seed(plan.table), "separate", plan.table, i)
            apart = separate(numbered, drawn, columns, seed, f"{work}/u{i}", False, cell, only)
            rows = apart.withColumn("__idx", F.col("__row")).drop("__row")
            if only:
                link = early[n]
                ends = {names[c]: link.parent_columns[i] for i, c in link.brings.items()}
                group, own = {names[c]: p for c, p in link.within}, [c for c in drawn if c not in ends]
                rows = redirected(written(rows, f"{work}/u{i}/apart"), run.ends(link.parent), own, ends, group)
    return rows


def _with_fixed(run: Generation, plan: TablePlan, rows: DataFrame) -> DataFrame:
    """`rows` with `fixed`, their structure and what the rows at the other end show, and what is copied of these."""
    names = plan.drawn
    known: list[Column] = []
    for n, link in enumerate(plan.matched):
        if link.late:
            known.append(F.array(F.col("__codes").getItem(link.at)))
            continue
        shown = shown_by(link, run.plans[link.parent], F.col("__context")).alias(f"__to{n}")
        named = [quoted(c).cast("string").alias(f"__t{n}_{i}") for i, c in enumerate(link.parent_columns)]
        copied = [quoted(p).cast("string").alias(names[c]) for c, p in (*link.copies, *link.onward)]
        match = [F.col(names[c]) == F.col(f"__t{n}_{i}") for i, c in enumerate(link.columns)]
        rows = rows.join(run.rows(link.parent).select(*named, *copied, shown), match, "left")
        known.append(or_nothing(link, F.col(f"__to{n}"), [F.col(names[c]) for c in link.columns]))
    own = F.slice("__codes", 1, plan.structure - len(known))  # degrees, the row's own code, its levels
    return rows.withColumn("fixed", F.concat(own, in_order(known)) if known else own)


# -- edge first -----------------------------------------------------------------------------------------------


def _with_sets(run: Generation, plan: TablePlan, rows: DataFrame, families: Families) -> DataFrame:
    """`rows` with `sets`, the rows they are joined with; these links are drawn here."""
    nodes = written(_nodes(run, plan, rows, families.count), f"{run.structure(plan.table)}/nodes")
    parts = []
    for n, found in enumerate(plan.sets):
        rows = rows.join(_members(run, plan, found, nodes, f"__set{n}"), "__idx", "left")
        parts.append(F.coalesce(f"__set{n}", nobody(found)))
    return rows.withColumn("sets", F.concat(*parts))


def _nodes(run: Generation, plan: TablePlan, rows: DataFrame, count: int) -> DataFrame:
    """The rows of a table as links need them; see Generation.ends."""
    types = key_types(run, {plan.table: count})
    linked = {c for k in plan.matched if not k.late for c in k.columns} | set(plan.owner.columns if plan.owner else ())
    made = {k.column: f"k{i}" for i, k in enumerate(plan.keys)}
    made |= {c: name for c, name in plan.drawn.items() if c in linked}
    keys = [c for c in plan.referenced if c in made]
    typed = [F.col(made[c]).cast(types.get((plan.table, c), plan.columns[c])).alias(c) for c in keys]
    degrees = [f"__deg_{i}" for i in range(len(plan.degrees))]
    return as_in_clusters(rows.select("__idx", *typed, *degrees, F.col("__codes").alias("__context")), plan)


def _members(run: Generation, plan: TablePlan, found: SetPlan, nodes: DataFrame, name: str) -> DataFrame:
    """(__idx, `name`): the sets of the rows `nodes`, once the join table is linked to them."""
    join = run.plans[found.table]
    edges, _ = draw_structure_of(run, join, families_of(run, join))
    owner, link = join.owner, next(k for k in join.matched if not k.late)
    assert owner is not None
    above = [quoted(c).cast("string").alias(f"o{i}") for i, c in enumerate(owner.parent_columns)]
    shown = run.rows(found.other).select(*above, member(found, F.col("__context")).alias("__member"))
    ends = [F.col(join.drawn[c]).alias(f"__k{i}") for i, c in enumerate(link.columns)]
    order = F.xxhash64("__idx", F.lit(stream(run.links_seed(found.table), "set", found.table))).alias("__order")
    pairs = edges.join(shown, [f"o{i}" for i in range(len(above))]).select(*ends, order, "__member")
    keys = [quoted(c).cast("string").alias(f"__k{i}") for i, c in enumerate(link.parent_columns)]
    names = [f"__k{i}" for i in range(len(keys))]
    sets = sampled(pairs, names, found).withColumnRenamed("__set", name)
    return nodes.select("__idx", *keys).join(sets, names).select("__idx", name)
