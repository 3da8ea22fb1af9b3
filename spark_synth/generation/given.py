"""Rows that the user gives: what they carry of their families is drawn given all that is known of them.

Degrees and cluster come before a row's values in the order of the network, so they cannot be drawn given these step by
step. Each row draws DRAWS of them, and one goes on, chosen by how likely the row's values are after it (models.base.
Observed); summaries come after the values and are drawn as ever. Where a table has links, a network of its own draws
what precedes them: it draws all rows of a family DRAWS times, and the other one chooses row by row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from spark_synth.encoding.copies import add_same
from spark_synth.encoding.edge_plan import LinkPlan, OwnerPlan
from spark_synth.encoding.encode import encode_rows, under
from spark_synth.encoding.linked import or_nothing, shown_by
from spark_synth.encoding.plan import STRUCTURE, TablePlan
from spark_synth.encoding.rows import NULL_FAMILY, add_bases, order_rows
from spark_synth.encoding.views import quoted
from spark_synth.generation.block import add_degrees
from spark_synth.generation.codes import by_block, follow, read_plan, trained_model
from spark_synth.generation.degrees import TASK_ROWS
from spark_synth.generation.run import Generation, Maker
from spark_synth.generation.seeds import stream
from spark_synth.models.base import Observed
from spark_synth.models.batch import ABSENT

DRAWS = 32  # of what comes before the values of a row
BLOCK_ROWS = 512  # given rows drawn together, about


def keep_given(run: Generation, table: str, rows: DataFrame, path: str) -> None:
    """Write given rows, with the columns of `table` in their types, in the form of kept ones (generation.kept): with
    __idx, __deg_<i> and, if other tables hang on them, __context. Those they hang on must be kept."""
    plan = run.plans[table]
    numbered(rows, plan).write.mode("overwrite").parquet(f"{path}_rows")
    rows = run.spark.read.parquet(f"{path}_rows")
    if plan.degrees or run.is_above(table):
        rows = rows.join(_drawn(run, plan, rows), "__idx")
    rows.write.mode("overwrite").parquet(path)


def numbered(rows: DataFrame, plan: TablePlan) -> DataFrame:
    """`rows` with __idx from 0, the same whatever their partitions: parts by a hash of the key, inside by the key."""
    key = [quoted(c) for c in plan.primary_key or plan.columns]
    parts = 1 + rows.count() // TASK_ROWS
    placed = rows.withColumn("__part", F.pmod(F.xxhash64(*key), F.lit(parts)))
    inside = F.row_number().over(Window.partitionBy("__part").orderBy(*key)).cast("bigint") - 1
    counts = placed.groupBy("__part").count()
    before = F.sum("count").over(Window.orderBy("__part").rowsBetween(Window.unboundedPreceding, -1))
    first = counts.select("__part", F.coalesce(before, F.lit(0)).alias("__first"))
    ranked = placed.withColumn("__idx", inside).join(F.broadcast(first), "__part")
    return ranked.withColumn("__idx", F.col("__idx") + F.col("__first")).drop("__part", "__first")


def _drawn(run: Generation, plan: TablePlan, rows: DataFrame) -> DataFrame:
    """__idx, __deg_0.. and __context of given rows (with __idx)."""
    encoded = _encoded(run, plan, rows)
    family = [quoted(c) for c in plan.owner.columns] + [F.col(NULL_FAMILY)] if plan.owner else [F.col("__idx")]
    blocks = 1 + rows.count() // BLOCK_ROWS
    placed = encoded.withColumn("__family", F.xxhash64(*family))
    placed = placed.withColumn("block", F.pmod(F.xxhash64("__family", F.lit(run.seed)), F.lit(blocks)))
    names = ["block", "__idx", "__family", "__pos", "__n", "codes", "__known", "__above"]
    placed = placed.select(*names).repartition(run.tasks(blocks), "block")
    fields = ["__idx bigint", *(f"__deg_{i} bigint" for i in range(len(plan.degrees))), "__context array<smallint>"]
    maker = given_maker(GivenJob(run.models, plan.table, run.seed, run.segment_rows))
    return placed.sortWithinPartitions("block").mapInPandas(maker, ", ".join(fields))


def _encoded(run: Generation, plan: TablePlan, rows: DataFrame) -> DataFrame:
    """Given rows with `codes` (of their values), __pos and __n, __known (what early links lead to: for each its code
    and what it carries) and __above (the context of their families)."""
    tables = {e.parent: run.rows(e.parent) for e in plan.edges if e.parent in run.kept} | {plan.table: rows}
    frame = order_rows(add_same(rows, tables, plan), plan, tuple(plan.primary_key), run.seed)
    if plan.owner is None:
        zero, one = F.lit(0).cast("bigint"), F.lit(1).cast("bigint")
        frame = frame.withColumns({"__pos": zero, "__n": one})
    elif plan.time and plan.time.base:
        above = run.plans[plan.owner.parent]
        frame = add_bases(frame, plan, tables[plan.owner.parent], above, [plan.time.base])
    unknown = [f"__deg_{i}" for i in range(len(plan.degrees))] + [f"__sum_{i}" for i in range(len(plan.summaries))]
    unknown += ["__code"] + [f"__level{i}" for i, k in enumerate(plan.matched) if k.levels]
    frame = frame.withColumns({c: F.lit(0) for c in unknown})
    for n, link in enumerate(k for k in plan.matched if not k.late):
        frame = _with_shown(run, plan, frame, link, f"__shown{n}")
    early = [f"__shown{n}" for n in range(sum(not k.late for k in plan.matched))]
    none = F.array().cast("array<smallint>")
    frame = frame.withColumn("__known", F.concat(none, *early)).withColumn("__above", none).drop(*early)
    frame = _with_above(run, plan, plan.owner, frame) if plan.owner else frame
    return encode_rows(frame, plan, run.segment_rows, F.lit(False))


def _with_shown(run: Generation, plan: TablePlan, frame: DataFrame, link: LinkPlan, name: str) -> DataFrame:
    """`frame` with what its rows are shown by `link`: its code, and what it carries."""
    keys = [quoted(c).alias(f"__k{i}") for i, c in enumerate(link.parent_columns)]
    shown = shown_by(link, run.plans[link.parent], F.col("__context")).alias(name)
    match = [quoted(c) == F.col(f"__k{i}") for i, c in enumerate(link.columns)]
    joined = frame.join(run.rows(link.parent).select(*keys, shown), match, "left")
    known = or_nothing(link, F.col(name), map(quoted, link.columns))
    return joined.withColumn(name, known).drop(*[f"__k{i}" for i in range(len(keys))])


def _with_above(run: Generation, plan: TablePlan, owner: OwnerPlan, frame: DataFrame) -> DataFrame:
    """`frame` with __above, what its rows are conditioned on: the context of their owner."""
    keys = [quoted(c).alias(f"__k{i}") for i, c in enumerate(owner.parent_columns)]
    parents = run.rows(owner.parent).select(*keys, F.col("__context").alias("__of_owner"))
    match = [quoted(c) == F.col(f"__k{i}") for i, c in enumerate(owner.columns)]
    context = under(owner, F.col("__of_owner"), [quoted(c) for c in owner.columns], len(plan.context_cards))
    joined = frame.join(parents, match, "left").withColumn("__above", context)
    return joined.drop("__of_owner", *[f"__k{i}" for i in range(len(keys))])


# -- inside a task ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class GivenJob:
    """What a worker needs for any block of given rows of one table; see generation.codes.BlockJob."""

    folder: str
    table: str
    seed: int
    segment_rows: int


def given_maker(job: GivenJob) -> Maker:
    """A function for mapInPandas: encoded rows sorted by block, in; their degrees and context, out."""
    return by_block(lambda block: draw_given(job, block))


def draw_given(job: GivenJob, block: pd.DataFrame) -> pd.DataFrame:
    """__idx, __deg_0.. and __context of the rows of one block."""
    plan = read_plan(job.folder, job.table)
    rows, lengths = _in_families(block, job.segment_rows)
    generator = torch.Generator().manual_seed(stream(job.seed, "given", job.table, int(block["block"].iloc[0])))
    codes = _draw(job, plan, rows, lengths, generator)
    follow(plan, codes)
    index, above = rows["__idx"].to_numpy(np.int64), _stacked(rows["__above"], len(plan.context_cards))
    out = pd.DataFrame({"__idx": index})
    add_degrees(out, plan, job.seed, codes)
    out["__context"] = list(np.concatenate([codes, above], axis=1).astype(np.int16))
    return out


def _in_families(block: pd.DataFrame, segment_rows: int) -> tuple[pd.DataFrame, np.ndarray]:
    """The rows of a block by family and place, the longest segments first, and the rows of each segment."""
    rows = block.assign(segment=block["__pos"] // segment_rows)
    rows["rows"] = rows.groupby(["__family", "segment"])["__idx"].transform("size")
    order = ["rows", "__family", "segment", "__pos", "__idx"]
    rows = rows.sort_values(order, ascending=[False, True, True, True, True], ignore_index=True)
    heads = rows.groupby(["rows", "__family", "segment"], sort=False).size()
    return rows, heads.to_numpy(np.int64)


def _draw(
    job: GivenJob, plan: TablePlan, rows: pd.DataFrame, lengths: np.ndarray, generator: torch.Generator
) -> np.ndarray:
    """int64 (N, C): all codes of given rows, those of their values as given."""
    known, codes = _linked(plan, rows), _stacked(rows["codes"], len(plan.cards))
    first = np.cumsum(lengths) - lengths
    at = np.concatenate([np.tile(np.arange(f, f + n), DRAWS) for f, n in zip(first, lengths, strict=True)])
    heads = torch.from_numpy(np.repeat(first, DRAWS))
    above = torch.from_numpy(_stacked(rows["__above"], len(plan.context_cards)))[heads]
    start, size = (torch.from_numpy(rows[c].to_numpy(np.int64))[heads] for c in ("__pos", "__n"))
    families = (above, torch.from_numpy(np.repeat(lengths, DRAWS)), start, size)
    model = trained_model(f"{job.folder}/{job.table}")
    weight, fixed = torch.zeros(len(at), dtype=torch.float64), None
    if plan.structure:
        before = _structure(job, plan, {j: c[at] for j, c in known.items()}, families, generator, weight)
        carried = [known[j][at] for j in range(plan.structure, plan.fixed)]
        fixed = torch.from_numpy(np.concatenate([before, *(c[:, None] for c in carried)], axis=1))
    values = {j: torch.from_numpy(codes[at, j]) for j in _values(plan)}
    sets = torch.full((len(at), sum(s.width for s in plan.sets)), ABSENT) if plan.sets else None
    observed = Observed(values, weight, DRAWS)
    drawn = model.sample(*families, generator, fixed=fixed, sets=sets, observed=observed).numpy()
    one = np.flatnonzero(np.concatenate([np.repeat(np.arange(DRAWS), n) == 0 for n in lengths]))
    chosen: np.ndarray = drawn[one]
    return chosen


def _structure(
    job: GivenJob,
    plan: TablePlan,
    known: Mapping[int, np.ndarray],
    families: tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor],
    generator: torch.Generator,
    weight: torch.Tensor,
) -> np.ndarray:
    """int64 (N, S): what precedes the values of rows, the links `known`; `weight` tells how likely these are."""
    if plan.blocks:  # nothing but the link
        return known[0][:, None]
    model = trained_model(f"{job.folder}/{job.table}/{STRUCTURE}")
    links = {j: torch.from_numpy(c) for j, c in known.items() if j < plan.structure}
    codes = model.sample(*families, generator, observed=Observed(links, weight)).numpy()
    follow(plan, codes)
    for j, code in links.items():
        codes[:, j] = code.numpy()
    return codes


def _linked(plan: TablePlan, rows: pd.DataFrame) -> dict[int, np.ndarray]:
    """int64 (N,) by sub-column: the codes of early links and what these carry."""
    early = [k for k in plan.matched if not k.late]
    at = [j for k in early for j in (k.at, *range(k.carried_at, k.carried_at + len(k.carried)))]
    known = _stacked(rows["__known"], len(at))
    return {j: known[:, i] for i, j in enumerate(at)}


def _values(plan: TablePlan) -> list[int]:
    """The sub-columns that a row's own values tell."""
    drawn = {s.at for s in plan.summaries}
    if not plan.structure:
        drawn |= {d.at for d in plan.degrees} | ({plan.code.at} if plan.code else set())
    keys = 1 if not plan.values and not plan.time and not plan.summaries else 0  # the constant of a table of keys alone
    return [j for j in range(plan.fixed, len(plan.cards) - keys) if j not in drawn]


def _stacked(arrays: pd.Series, width: int) -> np.ndarray:
    """int64 (n, width)."""
    whole: np.ndarray = np.stack(arrays.to_list()).astype(np.int64).reshape(len(arrays), width)
    return whole
