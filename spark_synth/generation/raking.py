"""Codes of rows as often as they should be: links to each cluster as its rows offer; no link, orphans, the levels of a
self reference and a table's own code as in the real table."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from spark_synth.encoding.edge_plan import LinkPlan
from spark_synth.encoding.plan import TablePlan
from spark_synth.encoding.room import link_room
from spark_synth.generation.codes import BlockJob, block_rng, per_block, structure_codes, tilts, value_codes
from spark_synth.generation.families import Families
from spark_synth.generation.orphans import orphan_count
from spark_synth.generation.run import Generation, Maker
from spark_synth.models.spec import read_spec

RAKE_ROUNDS = 3
FEW_ROWS, MORE_ROUNDS = 10_000, 8  # quickly drawn, and clusters of one or two rows take long to converge
RAKE_ROWS = 20  # rows per cluster of a link below which they differ from what they offer by chance
RAKE_BLOCKS = 16  # blocks at most that the weights of codes are found from
BALANCED = 0.02  # share of rows outside their cluster's supply that is left alone
CLOSE = 0.005  # the same of a table of few rows, where 2 % are more rows than its rare clusters have
NEAR = 0.002  # and of those that have no target, or have one, where they should not
GRAINS = 1 << 20  # of an expected count, which is added up as whole numbers: the same in any order
EXPECTED = {"at": "int", "code": "int", "n": "bigint"}
STEEPEST = 2.0  # nats that one round may add to a code
SMOOTHED = 0.05  # rows added to both sides of a ratio; chances have no noise, and clusters of one row must move


def cell_of(link: LinkPlan) -> Column:
    """The cluster that a row's link goes to, the one after the last for an orphan, NULL where it goes nowhere."""
    code = F.col("__codes").getItem(link.at).cast("int") - int(link.nullable)
    return F.when(code >= 0, code)


def room_of(run: Generation, plan: TablePlan) -> dict[int, list[int]]:
    """For links that a family may have to the same target once: how often it may ask for each cluster."""
    room: dict[int, list[int]] = {}
    for link in plan.matched:
        if not link.late and plan.once_in_family(link.columns):
            targets = _counts(run, plan.table, link, F.count(F.lit(1))).astype(np.int64).tolist()
            room[link.at] = link_room(link, targets, orphan_count(run, link) if link.orphans else 0)
    return room


def raked(run: Generation, plan: TablePlan, families: Families, job: BlockJob) -> dict[int, np.ndarray]:
    """What to add to the logits of codes, so that rows ask of every cluster what its rows offer, as many as in reality
    have no target, and rows are of every cluster, and every level of a self reference, as often as real ones.

    Iterative proportional fitting of the demand, over a sample of blocks, to the supply (Deming and Stephan, 1940).
    """
    rounds, balanced = (MORE_ROUNDS, CLOSE) if job.count <= FEW_ROWS else (RAKE_ROUNDS, BALANCED)
    aims = _link_aims(run, plan, job.count, balanced)
    if not (plan.code and plan.code.follows):  # else the code of a row tells its level
        aims += [_real_aim(run, plan, k.level_at, NEAR) for k in plan.matched if k.levels]
    if plan.code and plan.code.clusters > 1 and not plan.blocks:
        aims.append(_real_aim(run, plan, plan.code.at, balanced))
    if not aims:
        return {}
    every = -(-families.blocks // RAKE_BLOCKS)
    sample = families.cut.where(F.col("block") % every == 0).persist()  # else every round would find them again
    try:
        return _fitted(run, plan, aims, sample, -(-families.blocks // every), rounds, job)
    finally:
        sample.unpersist()


def _fitted(
    run: Generation, plan: TablePlan, aims: list[_Aim], sample: DataFrame, blocks: int, rounds: int, job: BlockJob
) -> dict[int, np.ndarray]:
    """What brings the expected counts of a sample nearest to the aims, found in at most so many rounds."""
    tilt = {a.at: np.zeros(a.codes) for a in aims}
    best, nearest = tilt, np.inf
    for n in range(1 + rounds):
        rows = run.per_block(sample, blocks, _expecting(replace(job, tilt=tilt), plan.structure > 0), EXPECTED)
        expected = list(zip(_summed(rows, aims), aims, strict=True))
        far = [_far(counts, aim) for counts, aim in expected]
        if sum(far) < nearest:
            best, nearest = tilt, sum(far)
        if max(far) < 1 or n == rounds:
            break
        tilt = {aim.at: tilt[aim.at] + _step(counts, aim.shares)[aim.groups] for counts, aim in expected}
    return best


def _expecting(job: BlockJob, structure: bool) -> Maker:
    """As block.block_maker, for how often the codes of tilted sub-columns are expected: chances, not what is drawn,
    which tell the same with less noise. structure: whether they are drawn before values are, or with them."""

    def expected(block: pd.DataFrame) -> pd.DataFrame:
        tilt = tilts(job)
        if structure:
            structure_codes(job, block, tilt)
        else:
            value_codes(job, block, block_rng(job, block), tilt)
        counts = [np.rint(t.expected.numpy() * GRAINS).astype(np.int64) for t in tilt.values()]
        at = np.repeat(list(tilt), [len(c) for c in counts])
        return pd.DataFrame(
            {"at": at, "code": np.concatenate([np.arange(len(c)) for c in counts]), "n": np.concatenate(counts)}
        )

    return per_block(expected)


def _summed(rows: DataFrame, aims: list[_Aim]) -> list[np.ndarray]:
    """float64 (G,) of each aim: how often its groups of codes are expected in the sample."""
    out = {a.at: np.zeros(a.codes) for a in aims}
    for r in rows.groupBy("at", "code").agg(F.sum("n").alias("n")).collect():
        out[r["at"]][r["code"]] = r["n"] / GRAINS
    return [np.bincount(a.groups, out[a.at]) for a in aims]


@dataclass(frozen=True)
class _Aim:
    """Shares (G,) that groups of the codes of a sub-column should have; groups: int64 (K,), the one of each code;
    balanced: share of the rows that may be in another group than they should be; first: whether the share of the first
    must be NEAR in any case."""

    at: int
    groups: np.ndarray
    shares: np.ndarray
    balanced: float
    first: bool = False

    @property
    def codes(self) -> int:
        return len(self.groups)


def _link_aims(run: Generation, plan: TablePlan, rows: int, balanced: float) -> list[_Aim]:
    """Of every link but those whose levels tell where it leads. Of one that is filled last, or where rows are few for
    its clusters, only of whether there is a target."""
    aims = []
    for link in plan.matched:
        if link.levels:
            continue
        first, codes = int(link.nullable), np.arange(link.codes)
        many = not link.late and rows >= RAKE_ROWS * link.clusters
        groups = codes if many else codes.clip(max=first) + (codes >= first + link.clusters)
        shares = np.bincount(groups, _link_counts(run, plan, link))
        shares = shares / max(1.0, shares.sum())
        if many:
            inside = slice(first, first + link.clusters)
            shares[inside] = _supply(run, plan.table, link) * shares[inside].sum()
        if len(shares) > 1:
            aims.append(_Aim(link.at, groups, shares, balanced if many else NEAR, link.nullable))
    return aims


def _real_aim(run: Generation, plan: TablePlan, at: int, balanced: float) -> _Aim:
    """Every code of a sub-column as often as real rows have it."""
    counts = _real_counts(run, plan.table, at)
    return _Aim(at, np.arange(len(counts)), counts / counts.sum(), balanced)


def _link_counts(run: Generation, plan: TablePlan, link: LinkPlan) -> np.ndarray:
    """float64 (K,): real rows with each code of a link."""
    if plan.blocks:
        counts: np.ndarray = np.array(plan.blocks.counts, dtype=float).sum(0)
        return counts
    return _real_counts(run, plan.table, link.at)


def _real_counts(run: Generation, table: str, at: int) -> np.ndarray:
    """float64 (K,): real rows with each code of a sub-column."""
    return np.array(read_spec(Path(run.models) / table).frequencies[at])


def _far(counts: np.ndarray, aim: _Aim) -> float:
    """How much is left to do, 1 where it may be left alone."""
    off = np.abs(counts / max(1.0, counts.sum()) - aim.shares)
    return max(0.5 * float(off.sum()) / aim.balanced, float(off[0]) / NEAR if aim.first else 0.0)


def _step(counts: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Logits that bring `counts` to `shares`."""
    total = max(1.0, counts.sum())
    step = np.log((shares * total + SMOOTHED) / (counts + SMOOTHED)).clip(-STEEPEST, STEEPEST)
    balanced: np.ndarray = step - np.log(max((counts * np.exp(step)).sum(), 0.5) / total)
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
