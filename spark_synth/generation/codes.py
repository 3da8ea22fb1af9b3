"""The codes of one block of rows, drawn inside a Spark task: what a table's trained network says, nothing decoded."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from spark_synth.encoding.plan import STRUCTURE, TablePlan
from spark_synth.generation.blocks import draw_blocks
from spark_synth.generation.clock import FOREVER, FamilyClock, segment_bounds
from spark_synth.generation.masks import Course, Given, Room, Segments, Together
from spark_synth.generation.run import Maker
from spark_synth.generation.seeds import stream, uniforms
from spark_synth.models.base import Masks, Tilt
from spark_synth.models.batch import ABSENT
from spark_synth.models.families import read_model
from spark_synth.models.network import GeneratorNetwork


@dataclass(frozen=True)
class BlockJob:
    """What a worker needs to draw any block of one table: the model folder, the seed, the table's row count.

    count: rows of the whole synthetic table. keys: keys that are made at most, for these or for orphans (see
    encoding.keys.make_keys); used: numbers that earlier waves have used up for keys. parent: whether other tables hang
    on this one, so that its rows carry their codes. tilt: float (K,) by sub-column, added to its logits. room: see
    generation.masks.Room. given, forced: sub-columns whose codes blocks bring along, as `__references` and `__forced`.
    Paths must be readable from executors.
    """

    folder: str
    table: str
    seed: int
    count: int
    keys: int
    parent: bool
    tilt: Mapping[int, np.ndarray] = field(default_factory=dict)
    room: Mapping[int, Sequence[int]] = field(default_factory=dict)
    given: Sequence[int] = ()
    forced: Sequence[int] = ()
    used: int = 0


def per_block(draw: Callable[[pd.DataFrame], pd.DataFrame]) -> Maker:
    """A function for mapInPandas: segments sorted by block and row, in; what `draw` makes of each block, out."""
    return by_block(lambda block: draw(_longest_first(block)))


def by_block(draw: Callable[[pd.DataFrame], pd.DataFrame]) -> Maker:
    """A function for mapInPandas: rows sorted by block, in; what `draw` makes of each block, out. One is held at a
    time."""

    def generate(frames: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        torch.set_num_threads(1)  # one core per task; a fixed number also keeps float sums the same everywhere
        for block in _whole_blocks(frames):
            yield draw(block)

    return generate


def tilts(job: BlockJob) -> dict[int, Tilt]:
    """By sub-column what is added to its logits; each is used for one block, as it counts what is drawn with it."""
    even = read_plan(job.folder, job.table).even
    return {j: Tilt(torch.from_numpy(t), j in even) for j, t in job.tilt.items()}


def structure_codes(job: BlockJob, block: pd.DataFrame, tilt: Mapping[int, Tilt]) -> np.ndarray:
    """int64 (N, S): degrees, own code and codes of link targets of all rows of one block."""
    plan = read_plan(job.folder, job.table)
    number = int(block["block"].iloc[0])
    generator = torch.Generator().manual_seed(stream(job.seed, "structure", job.table, number))
    context, sizes = _context(block, len(plan.context_cards)), _sizes(block)
    masks, above = _together(_given(job, block, plan.cards), _room(job, context, block)), torch.from_numpy(context)
    if plan.blocks:
        codes = draw_blocks(plan.blocks, above, sizes[0], generator, masks, tilt.get(0)).numpy()
    else:
        model = trained_model(f"{job.folder}/{job.table}/{STRUCTURE}")
        codes = model.sample(above, *sizes, generator, masks=masks, tilt=tilt).numpy()
    follow(plan, codes)
    return codes


def block_rng(job: BlockJob, block: pd.DataFrame) -> np.random.Generator:
    """What is random about the values of a block, but for their codes."""
    return np.random.default_rng(stream(job.seed, "values", job.table, _turn(job), int(block["block"].iloc[0])))


def value_codes(
    job: BlockJob, block: pd.DataFrame, rng: np.random.Generator, tilt: Mapping[int, Tilt]
) -> tuple[np.ndarray, np.ndarray, FamilyClock | None]:
    """int64 (N, C) codes of all rows of one block, (B, P) of their context; and their times. See block.draw_block."""
    plan, model = read_plan(job.folder, job.table), trained_model(f"{job.folder}/{job.table}")
    lengths = block["rows"].to_numpy(np.int64)
    generator = torch.Generator().manual_seed(
        stream(job.seed, "codes", job.table, _turn(job), int(block["block"].iloc[0]))
    )
    context, sizes = _context(block, len(model.spec.context_cards)), _sizes(block)
    clock = _clock(plan, block, lengths, context, rng, job.seed)
    fixed, sets = _known(block, "fixed", plan.fixed), _known(block, "sets", sum(s.width for s in plan.sets))
    masks = _together(_course(plan, block, clock), _given(job, block, plan.cards), _room(job, context, block))
    codes = model.sample(torch.from_numpy(context), *sizes, generator, clock, masks, fixed, tilt, sets).numpy()
    follow(plan, codes)
    return codes, context, clock


def _course(plan: TablePlan, block: pd.DataFrame, clock: FamilyClock | None) -> Masks | None:
    """What times the rows of a block may have: those of the families whose courses they follow, if they do."""
    if clock is None or plan.time is None or "__course" not in block:
        return clock
    at = plan.time.drawn_at
    lengths = block["rows"].to_numpy(np.int64)
    codes = np.full((int(lengths.sum()), len(at)), ABSENT, dtype=np.int64)
    ends = np.cumsum(lengths)
    for course, first, rows in zip(block["__course"], ends - lengths, lengths, strict=True):
        if course is not None:
            told = np.asarray(course, dtype=np.int64).reshape(-1, len(at))[:rows]
            codes[first : first + len(told)] = told
    return Course(dict(zip(at, codes.T, strict=True)), lengths, clock)


def _together(*masks: Masks | None) -> Masks | None:
    there = [m for m in masks if m]
    return Together(there) if len(there) > 1 else there[0] if there else None


def _given(job: BlockJob, block: pd.DataFrame, cards: Sequence[int]) -> Given | None:
    """The codes that the rows of a block bring along."""
    codes: dict[int, np.ndarray] = {}
    for name, at in (("__references", job.given), ("__forced", job.forced)):
        known = _known(block, name, len(at))
        codes |= dict(zip(at, known.numpy().T, strict=True)) if known is not None else {}
    return Given(codes, cards, block["rows"].to_numpy(np.int64)) if codes else None


def _room(job: BlockJob, context: np.ndarray, block: pd.DataFrame) -> Room | None:
    if not job.room:
        return None
    start, rows, size, row = (block[c].to_numpy(np.int64) for c in ("start", "rows", "size", "row"))
    return Room(job.room, (context != ABSENT).any(1), Segments(start, rows, size, row - start))


def _turn(job: BlockJob) -> str:
    return "again" if job.given else "first"  # the same chances twice would give two families the same rows


def follow(plan: TablePlan, codes: np.ndarray) -> None:
    """Set, in place, the sub-columns that follow from a row's own code."""
    if plan.code and plan.code.follows:
        table = np.array(plan.code.follows)[codes[:, plan.code.at]]
        for i, at in enumerate(plan.following):
            if at < codes.shape[1]:
                codes[:, at] = table[:, i]


def _longest_first(block: pd.DataFrame) -> pd.DataFrame:
    ordered = block.sort_values(["rows", "row"], ascending=[False, True], kind="stable")
    return ordered.reset_index(drop=True)


def _sizes(block: pd.DataFrame) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """int64 (B,): rows of each segment, position of its first row in the family, rows of the family."""
    rows, start, size = (torch.from_numpy(block[c].to_numpy(np.int64)) for c in ("rows", "start", "size"))
    return rows, start, size


def members(block: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """int64 (N,) each: the segment of every row, and its place therein."""
    lengths = block["rows"].to_numpy(np.int64)
    family = np.repeat(np.arange(len(lengths)), lengths)
    return family, np.arange(len(family)) - np.repeat(np.cumsum(lengths) - lengths, lengths)


def _known(block: pd.DataFrame, name: str, width: int) -> torch.Tensor | None:
    """int64 (N, width): what is known of each row."""
    return torch.from_numpy(flat(block[name]).reshape(-1, width).astype(np.int64)) if width else None


def flat(arrays: pd.Series) -> np.ndarray:
    """The arrays of all segments after each other."""
    return np.concatenate([np.asarray(a) for a in arrays])


@lru_cache(maxsize=8)
def read_plan(folder: str, table: str) -> TablePlan:
    """The plan of a table, read once per Python worker."""
    return TablePlan.from_json(json.loads((Path(folder) / table / "plan.json").read_text()))


@lru_cache(maxsize=8)
def trained_model(folder: str) -> GeneratorNetwork:
    """A trained network, once per Python worker."""
    return read_model(Path(folder))


def _whole_blocks(frames: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    """Regroup arriving frames (sorted by block) into one frame per block."""
    waiting: list[pd.DataFrame] = []
    for frame in frames:
        while len(frame):
            if waiting and frame["block"].iloc[0] != waiting[0]["block"].iloc[0]:
                yield pd.concat(waiting, ignore_index=True)
                waiting = []
            same = frame["block"].to_numpy() == frame["block"].iloc[0]
            waiting.append(frame[same])
            frame = frame[~same]
    if waiting:
        yield pd.concat(waiting, ignore_index=True)


def _context(block: pd.DataFrame, width: int) -> np.ndarray:
    """int64 (B, P) context codes; ABSENT for families without an owner."""
    absent = np.full(width, ABSENT, dtype=np.int64)
    if not width:
        return np.zeros((len(block), 0), dtype=np.int64)
    rows = [absent if c is None else np.asarray(c, dtype=np.int64) for c in block["__context"]]
    return np.stack(rows)


def _clock(
    plan: TablePlan, block: pd.DataFrame, lengths: np.ndarray, context: np.ndarray, rng: np.random.Generator, seed: int
) -> FamilyClock | None:
    if plan.time is None:
        return None
    base = np.zeros(len(block), dtype=np.int64)
    if plan.time.base:
        base = block["base"].fillna(plan.time.base_fill).to_numpy(np.int64)
    long = block["segments"].to_numpy() > 1
    start, end = np.zeros(len(block), dtype=np.int64), np.full(len(block), FOREVER)
    if long.any():
        parent = block["__idx"].to_numpy(np.int64)
        drawn = [
            s.codec.decode(context[:, s.at], uniforms(seed, f"{plan.table}/{s.stat}", parent)) for s in plan.course
        ]
        first, span = drawn if len(drawn) == 2 else [np.full(len(block), np.nan)] * 2
        if plan.owner and plan.owner.orphans:  # the families of orphans have no owner that tells
            lost = context[:, -1] == 1
            first = np.where(lost, plan.time.low, first)
            span = np.where(lost, plan.time.last - plan.time.low, span)
        places = [block[c].to_numpy(np.int64) for c in ("start", "rows", "size")]
        starts, ends = segment_bounds(plan.time, first, span, *places)
        start, end = np.where(long, starts, start), np.where(long, ends, end)
    return FamilyClock(plan.time, lengths, base, long, start, end, rng)
