"""What the rows of a table ask of every cluster that their links lead to, brought to what its rows offer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from spark_synth.encoding.plan import LinkPlan, TablePlan
from spark_synth.generation.block import BlockJob, structure_fields, structure_maker
from spark_synth.generation.families import Families
from spark_synth.generation.orphans import orphan_count
from spark_synth.generation.run import Generation

RAKE_ROUNDS = 3
RAKE_BLOCKS = 16  # blocks that the weights of codes are found from
RAKE_ROWS = 20  # rows per cluster below which chance is most of what is out of balance
BALANCED = 0.02  # share of rows outside their cluster's supply that is left alone
STEEPEST = 2.0  # nats that one round may add to a code


def cell_of(link: LinkPlan) -> Column:
    """The cluster that a row's link goes to, the one after the last for an orphan, NULL where it goes nowhere."""
    code = F.col("__codes").getItem(link.at).cast("int") - int(link.nullable)
    return F.when(code >= 0, code)


def room_of(run: Generation, plan: TablePlan) -> dict[int, np.ndarray]:
    """For links that a family may have to the same target once: how often it may ask for each cluster."""
    room: dict[int, np.ndarray] = {}
    for link in plan.matched:
        if not link.late and plan.once_in_family(link.columns):
            targets = _counts(run, plan.table, link, F.count(F.lit(1)))
            lost = [orphan_count(run, link)] if link.orphans else []
            room[link.at] = np.concatenate([[1 << 30] * link.nullable, targets, lost]).astype(np.int64)
    return room


def raked(run: Generation, plan: TablePlan, families: Families, job: BlockJob) -> dict[int, np.ndarray]:
    """What to add to the logits of link codes, so that rows ask of every cluster what its rows offer.

    Iterative proportional fitting of the demand, over a sample of blocks, to the supply (Deming and Stephan, 1940).
    """
    links = [k for k in plan.matched if not k.late and job.count >= RAKE_ROWS * k.clusters > RAKE_ROWS]
    supply = {k.at: _supply(run, plan.table, k) for k in links}
    tilt = {k.at: np.zeros(k.codes) for k in links}
    every = max(1, families.blocks // RAKE_BLOCKS)
    sample = families.cut.where(F.col("block") % every == 0)
    for _ in range(RAKE_ROUNDS if links else 0):
        maker = structure_maker(replace(job, tilt=tilt))
        rows = run.per_block(sample, -(-families.blocks // every), maker, structure_fields(plan))
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
    linked = run.ends(link.parent).where(F.col(f"__deg_{run.degree_of(table, link)}") > 0)
    cell = F.col("__context").getItem(target.code.at).alias("cell")
    out = np.zeros(link.clusters)
    for row in linked.groupBy(cell).agg(counted.alias("n")).collect():
        out[row["cell"]] = row["n"]
    return out


def _demand(rows: DataFrame, links: list[LinkPlan]) -> dict[int, np.ndarray]:
    asked = [F.when(cell_of(k) < k.clusters, cell_of(k)) for k in links]
    cells = F.posexplode(F.array(*asked)).alias("link", "cell")
    demand = [np.zeros(k.clusters) for k in links]
    for r in rows.select(cells).where("cell IS NOT NULL").groupBy("link", "cell").count().collect():
        demand[r["link"]][r["cell"]] = r["count"]
    return {k.at: demand[n] / max(1.0, demand[n].sum()) for n, k in enumerate(links)}
