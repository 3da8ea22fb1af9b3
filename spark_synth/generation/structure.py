"""Structure before values: the degrees and link codes of a table's rows, the rows they are linked to, and what these
show, brought together for every segment, so that the values of its rows can be drawn given all that.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from spark_synth.encoding.linked import in_order, or_nothing, shown_by
from spark_synth.encoding.plan import LinkPlan, TablePlan
from spark_synth.encoding.views import quoted
from spark_synth.generation.block import BlockJob, structure_fields, structure_maker
from spark_synth.generation.links import link_rows
from spark_synth.generation.orphans import orphan_count
from spark_synth.generation.run import Generation
from spark_synth.generation.seeds import stream
from spark_synth.generation.separate import separate

RAKE_ROUNDS = 3
RAKE_BLOCKS = 16  # blocks that the weights of codes are found from
RAKE_ROWS = 20  # rows per cluster below which chance is most of what is out of balance
BALANCED = 0.02  # share of rows outside their cluster's supply that is left alone
STEEPEST = 2.0  # nats that one round may add to a code


def draw_links(run: Generation, plan: TablePlan, cut: DataFrame, job: BlockJob, blocks: int) -> DataFrame:
    """The segments `cut` with what is known of their rows: `fixed` (codes) and l0.. (keys of the linked rows)."""
    work = f"{run.work}/_structure/{plan.table}"
    cut = _kept(run, cut, f"{work}/segments")
    job = replace(job, room=_room(run, plan))
    job = replace(job, tilt=_raked(run, plan, cut, job, blocks))
    rows = _kept(run, _drawn(run, plan, cut, job, blocks), f"{work}/drawn")
    keys = plan.early
    for n, link in enumerate(k for k in plan.matched if not k.late):
        cell = _cell(link)
        matched = link_rows(run, plan.table, rows, link, cell)
        named = [F.col(f"__p{i}").cast("string").alias(f"l{keys.index(c)}") for i, c in enumerate(link.columns)]
        places = [F.col(c).alias(f"{c}{n}") for c in ("__slot", "__low", "__span")]
        rows = _kept(run, matched.select(*[c for c in rows.columns], *named, *places), f"{work}/{n}")
    rows = _separated(run, plan, rows, work)
    arrays = _by_segment(_with_fixed(run, plan, rows), len(keys))
    return cut.join(arrays, F.col("row") == F.col("__segment")).drop("__segment")


def _drawn(run: Generation, plan: TablePlan, cut: DataFrame, job: BlockJob, blocks: int) -> DataFrame:
    fields = ", ".join(f"`{n}` {t}" for n, t in structure_fields(plan).items())
    placed = cut.repartition(min(blocks, run.partitions or blocks), "block").sortWithinPartitions("block", "row")
    return placed.mapInPandas(structure_maker(job), fields)


def _kept(run: Generation, rows: DataFrame, path: str) -> DataFrame:
    """`rows`, written: what follows reads them more than once."""
    rows.write.mode("overwrite").parquet(path)
    return run.spark.read.parquet(path)


def _cell(link: LinkPlan) -> Column:
    """The cluster that a row's link goes to, the one after the last for an orphan, NULL where it goes nowhere."""
    code = F.col("__codes").getItem(link.at).cast("int") - int(link.nullable)
    return F.when(code >= 0, code)


def _room(run: Generation, plan: TablePlan) -> dict[int, np.ndarray]:
    """For links that a family may have to the same target once: how often it may ask for each cluster."""
    room: dict[int, np.ndarray] = {}
    owner = set(plan.owner.columns) if plan.owner else set[str]()
    for link in plan.matched:
        own = set(link.columns)
        if owner and not link.late and any(own <= set(u) <= own | owner for u in plan.unique):
            targets = _counts(run, plan.table, link, F.count(F.lit(1)))
            lost = [orphan_count(run, link)] if link.orphans else []
            room[link.at] = np.concatenate([[1 << 30] * link.nullable, targets, lost]).astype(np.int64)
    return room


# -- raking ---------------------------------------------------------------------------------------------------


def _raked(run: Generation, plan: TablePlan, cut: DataFrame, job: BlockJob, blocks: int) -> dict[int, np.ndarray]:
    """What to add to the logits of link codes, so that rows ask of every cluster what its rows offer.

    Iterative proportional fitting of the demand, over a sample of blocks, to the supply (Deming and Stephan, 1940).
    """
    links = [k for k in plan.matched if not k.late and job.count >= RAKE_ROWS * k.clusters > RAKE_ROWS]
    supply = {k.at: _supply(run, plan.table, k) for k in links}
    tilt = {k.at: np.zeros(k.codes) for k in links}
    every = max(1, blocks // RAKE_BLOCKS)
    sample = cut.where(F.col("block") % every == 0)
    for _ in range(RAKE_ROUNDS if links else 0):
        rows = _drawn(run, plan, sample, replace(job, tilt=tilt), -(-blocks // every))
        demand = _demand(rows, links)
        far = {at: 0.5 * float(np.abs(demand[at] - supply[at]).sum()) for at in supply}
        if max(far.values()) < BALANCED:
            break
        for link in links:
            first = int(link.nullable)
            tilt[link.at][first : first + link.clusters] += _step(demand[link.at], supply[link.at])
    return tilt


def _step(demand: np.ndarray, supply: np.ndarray) -> np.ndarray:
    """Logits that bring shares `demand` to `supply`; none of their sum goes to NULL or to orphans."""
    step = np.log((supply + 1e-5) / (demand + 1e-5)).clip(-STEEPEST, STEEPEST)
    balanced: np.ndarray = step - np.log((demand * np.exp(step)).sum() / max(demand.sum(), 1e-9))
    return balanced


def _supply(run: Generation, table: str, link: LinkPlan) -> np.ndarray:
    """float64 (K,): share of each cluster in the degrees of the target's rows."""
    degrees = _counts(run, table, link, F.sum(f"__deg_{run.degree_of(table, link)}"))
    shares: np.ndarray = degrees / max(1.0, degrees.sum())
    return shares


def _counts(run: Generation, table: str, link: LinkPlan, counted: Column) -> np.ndarray:
    """float64 (K,): an aggregate of the target's rows that are linked to, by cluster."""
    target = run.plans[link.parent]
    assert target.code is not None
    linked = run.rows(link.parent).where(F.col(f"__deg_{run.degree_of(table, link)}") > 0)
    cell = F.col("__context").getItem(target.code.at).alias("cell")
    out = np.zeros(link.clusters)
    for row in linked.groupBy(cell).agg(counted.alias("n")).collect():
        out[row["cell"]] = row["n"]
    return out


def _demand(rows: DataFrame, links: list[LinkPlan]) -> dict[int, np.ndarray]:
    asked = [F.when(_cell(k) < k.clusters, _cell(k)) for k in links]
    cells = F.posexplode(F.array(*asked)).alias("link", "cell")
    demand = [np.zeros(k.clusters) for k in links]
    for r in rows.select(cells).where("cell IS NOT NULL").groupBy("link", "cell").count().collect():
        demand[r["link"]][r["cell"]] = r["count"]
    return {k.at: demand[n] / max(1.0, demand[n].sum()) for n, k in enumerate(links)}


# -- after matching -------------------------------------------------------------------------------------------


def _separated(run: Generation, plan: TablePlan, rows: DataFrame, work: str) -> DataFrame:
    """`rows` in which foreign keys that may occur together once do, as far as exchanges inside a cluster go."""
    names = {c: f"l{i}" for i, c in enumerate(plan.early)}
    names |= {c: f"o{i}" for i, c in enumerate(plan.owner.columns if plan.owner else ())}
    early = [k for k in plan.matched if not k.late]
    for i, unique in enumerate(plan.unique):
        inside = [n for n, k in enumerate(early) if set(k.columns) <= set(unique)]
        if inside and set(unique) <= set(names):
            n = inside[-1]
            columns = [names[c] for c in early[n].columns]
            cell = (f"__low{n}", f"__span{n}")
            numbered = rows.withColumn("__row", F.col("__idx")).withColumn("__idx", F.col(f"__slot{n}"))
            seed = stream(run.seed, "separate", plan.table, i)
            apart = separate(numbered, [names[c] for c in unique], columns, seed, f"{work}/u{i}", False, cell)
            rows = apart.withColumn("__idx", F.col("__row")).drop("__row")
    return rows


def _with_fixed(run: Generation, plan: TablePlan, rows: DataFrame) -> DataFrame:
    """`rows` with `fixed`, their structure and what the rows at the other end show, and what is copied of these."""
    keys = plan.early
    known: list[Column] = []
    for n, link in enumerate(plan.matched):
        if link.late:
            known.append(F.array(F.col("__codes").getItem(link.at)))
            continue
        shown = shown_by(link, run.plans[link.parent], F.col("__context")).alias(f"__to{n}")
        named = [quoted(c).cast("string").alias(f"__t{n}_{i}") for i, c in enumerate(link.parent_columns)]
        copied = [quoted(p).cast("string").alias(f"l{keys.index(c)}") for c, p in link.copies]
        match = [F.col(f"l{keys.index(c)}") == F.col(f"__t{n}_{i}") for i, c in enumerate(link.columns)]
        rows = rows.join(run.rows(link.parent).select(*named, *copied, shown), match, "left")
        known.append(or_nothing(link, F.col(f"__to{n}"), [F.col(f"l{keys.index(c)}") for c in link.columns]))
    return rows.withColumn("fixed", F.concat(F.slice("__codes", 1, plan.matched[0].at), in_order(known)))


def _by_segment(rows: DataFrame, keys: int) -> DataFrame:
    """One row per segment: `fixed` and l0.. of its rows after each other."""
    names = ["fixed", *(f"l{i}" for i in range(keys))]
    ordered = F.array_sort(F.collect_list(F.struct("__idx", *names))).alias("rows")
    grouped = rows.groupBy("__segment").agg(ordered)
    fixed = F.flatten(F.col("rows.fixed")).alias("fixed")
    return grouped.select("__segment", fixed, *[F.col(f"rows.l{i}").alias(f"l{i}") for i in range(keys)])
