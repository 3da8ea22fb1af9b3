"""One block of rows, drawn inside a Spark task: the same block gives the same rows wherever and whenever it runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file

from spark_synth.encoding.bloom import Bloom
from spark_synth.encoding.keys import make_keys
from spark_synth.encoding.plan import STRUCTURE, How, TablePlan
from spark_synth.encoding.text import TextMaker
from spark_synth.generation.blocks import draw_blocks
from spark_synth.generation.clock import FOREVER, FamilyClock, segment_bounds
from spark_synth.generation.decode import decode_values, decoded_fields
from spark_synth.generation.masks import Given, Room, Together
from spark_synth.generation.run import Maker
from spark_synth.generation.seeds import stream, uniforms
from spark_synth.models.autoregressive import Autoregressive
from spark_synth.models.batch import ABSENT
from spark_synth.models.spec import GeneratorSpec


@dataclass(frozen=True)
class BlockJob:
    """What a worker needs to draw any block of one table: the model folder, the seed, the table's row count.

    count: rows of the whole synthetic table. keys: keys that are made at most, for these or for orphans (see
    encoding.keys.make_keys). parent: whether other tables hang on this one, so that its rows carry their codes.
    tilt: float (K,) by sub-column, added to its logits. room: see generation.masks.Room. given: sub-columns whose codes
    blocks bring along, as `__references`. Paths must be readable from executors.
    """

    folder: str
    table: str
    seed: int
    count: int
    keys: int
    parent: bool
    tilt: Mapping[int, np.ndarray] = field(default_factory=dict)
    room: Mapping[int, np.ndarray] = field(default_factory=dict)
    given: Sequence[int] = ()


@dataclass
class _Loaded:
    plan: TablePlan
    model: Autoregressive
    texts: list[TextMaker]


def output_fields(plan: TablePlan, parent: bool) -> dict[str, str]:
    """Names and Spark types of what `block_maker` yields."""
    fields = {"__idx": "bigint", "__segment": "bigint", **decoded_fields(plan)}
    fields |= {f"o{i}": "string" for i in range(len(plan.owned))}
    fields |= {f"l{i}": "string" for i in range(len(plan.early))}
    fields |= {f"__late_{i}": "smallint" for i, k in enumerate(plan.matched) if k.late}
    fields |= {f"__level_{i}": "smallint" for i, k in enumerate(plan.matched) if k.levels}
    fields |= _key_fields(plan)
    fields |= {f"w{i}": "string" for i in range(len(plan.texts))}
    return fields | ({"__context": "array<smallint>"} if parent else {})


def _key_fields(plan: TablePlan) -> dict[str, str]:
    fields = {f"k{i}": "bigint" if k.how in ("integer", "position") else "string" for i, k in enumerate(plan.keys)}
    return fields | {f"__deg_{i}": "bigint" for i in range(len(plan.degrees))}


def structure_fields(plan: TablePlan) -> dict[str, str]:
    """Names and Spark types of what `structure_maker` yields: row and segment numbers, owner, codes; and keys and
    degrees, where links lead to the rows before their values are drawn."""
    fields = {"__idx": "bigint", "__segment": "bigint"}
    fields |= {f"o{i}": "string" for i in range(len(plan.owner.columns) if plan.owner else 0)}
    return fields | {"__codes": "array<smallint>"} | (_key_fields(plan) if plan.sets else {})


def structure_maker(job: BlockJob) -> Maker:
    """As `block_maker`, for what comes before links are matched."""
    return _per_block(lambda block: draw_structure(job, block))


def block_maker(job: BlockJob) -> Maker:
    """A function for mapInPandas: segments sorted by block and row, in; rows of these blocks, out.

    At most one block of segments and its rows are held at a time.
    """
    return _per_block(lambda block: draw_block(job, block))


def _per_block(draw: Callable[[pd.DataFrame], pd.DataFrame]) -> Maker:
    def generate(frames: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        torch.set_num_threads(1)  # one core per task; a fixed number also keeps float sums the same everywhere
        for block in _whole_blocks(frames):
            yield draw(_longest_first(block))

    return generate


def draw_structure(job: BlockJob, block: pd.DataFrame) -> pd.DataFrame:
    """Degrees, own code and codes of link targets of all rows of one block: the columns of `structure_fields`."""
    plan = _plan(f"{job.folder}/{job.table}")
    number = int(block["block"].iloc[0])
    generator = torch.Generator().manual_seed(stream(job.seed, "structure", job.table, number))
    context, sizes = torch.from_numpy(_context(block, len(plan.context_cards))), _sizes(block)
    tilt = {j: torch.from_numpy(t) for j, t in job.tilt.items()}
    room = Room(job.room, len(block)) if job.room else None
    if plan.blocks:
        codes = draw_blocks(plan.blocks, context, sizes[0], generator, room, tilt.get(0)).numpy()
    else:
        model = _model(f"{job.folder}/{job.table}/{STRUCTURE}")
        codes = model.sample(context, *sizes, generator, masks=room, tilt=tilt).numpy()
    _follow(plan, codes)
    family, inner = _members(sizes[0].numpy())
    head = block["row"].to_numpy(np.int64)[family]
    out = pd.DataFrame({"__idx": head + inner, "__segment": head})
    if plan.sets:
        _add_keys(out, job, plan, block["start"].to_numpy(np.int64)[family] + inner, codes)
    for i in range(len(plan.owner.columns) if plan.owner else 0):
        out[f"o{i}"] = block[f"o{i}"].to_numpy(object)[family]
    out["__codes"] = list(codes.astype(np.int16))
    return out.sort_values("__idx", kind="stable")


def draw_block(job: BlockJob, block: pd.DataFrame) -> pd.DataFrame:
    """All rows of one block. `block`: the segments of generation.degrees, with owner keys, context and base, and for a
    table with links what is known of each row: `fixed` (its fixed codes) and l0.. (its keys), rows after each other."""
    loaded = _load(job.folder, job.table, job.seed)
    plan, model = loaded.plan, loaded.model
    lengths, start = block["rows"].to_numpy(np.int64), block["start"].to_numpy(np.int64)
    number = int(block["block"].iloc[0])
    turn = "again" if job.given else "first"  # the same chances twice would give two families the same rows
    rng = np.random.default_rng(stream(job.seed, "values", job.table, turn, number))
    generator = torch.Generator().manual_seed(stream(job.seed, "codes", job.table, turn, number))
    context, sizes = _context(block, len(model.spec.context_cards)), _sizes(block)
    clock = _clock(plan, block, lengths, context, rng, job.seed)
    fixed, sets = _known(block, "fixed", plan.fixed), _known(block, "sets", sum(s.width for s in plan.sets))
    room = Room(job.room, len(block)) if job.room else None
    known = _known(block, "__references", len(job.given))
    given = (
        Given(dict(zip(job.given, known.numpy().T, strict=True)), plan.cards, lengths) if known is not None else None
    )
    masks = Together([m for m in (clock, given, room) if m])
    codes = model.sample(torch.from_numpy(context), *sizes, generator, clock, masks, fixed, sets=sets).numpy()
    _follow(plan, codes)
    family, inner = _members(lengths)
    head = block["row"].to_numpy(np.int64)[family]
    index = head + inner
    out = decode_values(plan, codes, clock.times if clock else None, rng)
    out.insert(0, "__idx", index)
    out["__segment"] = head
    for i in range(len(plan.owned)):
        out[f"o{i}"] = block[f"o{i}"].to_numpy(object)[family]
    for i in range(len(plan.early)):
        out[f"l{i}"] = _flat(block[f"l{i}"])
    for i, link in enumerate(plan.matched):
        if link.late:
            out[f"__late_{i}"] = codes[:, link.at].astype(np.int16)
        if link.levels:
            out[f"__level_{i}"] = codes[:, link.level_at].astype(np.int16)
    _add_keys(out, job, plan, start[family] + inner, codes)
    _add_texts(out, plan, loaded.texts, rng)
    if job.parent:
        out["__context"] = list(np.concatenate([codes, context[family]], axis=1).astype(np.int16))
    return out.sort_values("__idx", kind="stable")[list(output_fields(plan, job.parent))]


def _add_keys(out: pd.DataFrame, job: BlockJob, plan: TablePlan, position: np.ndarray, codes: np.ndarray) -> None:
    """Keys and degrees of the rows `out` (with __idx): the same before and after their values are drawn."""
    index = out["__idx"].to_numpy(np.int64)
    blooms = _blooms(job.folder, job.table)
    for i, key in enumerate(plan.keys):
        salt = f"{job.seed}/{job.table}/{key.column}"
        out[f"k{i}"] = make_keys(key, index, position, job.keys, salt, blooms.get(key.column))
    for i, degree in enumerate(plan.degrees):
        drawn = degree.codec.decode(codes[:, degree.at], uniforms(job.seed, f"{job.table}/degree/{i}", index))
        out[f"__deg_{i}"] = np.rint(drawn).astype(np.int64)


def _follow(plan: TablePlan, codes: np.ndarray) -> None:
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


def _members(lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """int64 (N,) each: the segment of every row, and its place therein."""
    family = np.repeat(np.arange(len(lengths)), lengths)
    return family, np.arange(len(family)) - np.repeat(np.cumsum(lengths) - lengths, lengths)


def _known(block: pd.DataFrame, name: str, width: int) -> torch.Tensor | None:
    """int64 (N, width): what is known of each row."""
    return torch.from_numpy(_flat(block[name]).reshape(-1, width).astype(np.int64)) if width else None


def _flat(arrays: pd.Series) -> np.ndarray:
    """The arrays of all segments after each other."""
    return np.concatenate([np.asarray(a) for a in arrays])


@lru_cache(maxsize=8)
def _plan(folder: str) -> TablePlan:
    return TablePlan.from_json(json.loads((Path(folder) / "plan.json").read_text()))


@lru_cache(maxsize=8)
def _model(folder: str) -> Autoregressive:
    """A trained network, once per Python worker."""
    at = Path(folder)
    model = Autoregressive(GeneratorSpec.from_json(json.loads((at / "spec.json").read_text())))
    model.load_state_dict(load_file(at / "weights.safetensors"))
    return model


@lru_cache(maxsize=4)
def _load(folder: str, table: str, seed: int) -> _Loaded:
    """Plan, model and text makers of a table, once per Python worker."""
    at, blooms = Path(folder) / table, _blooms(folder, table)
    plan = _plan(str(at))
    texts = [TextMaker(t, stream(seed, "text", table, t.column) % 2**31, blooms.get(t.column)) for t in plan.texts]
    return _Loaded(plan, _model(str(at)), texts)


@lru_cache(maxsize=4)
def _blooms(folder: str, table: str) -> dict[str, Bloom]:
    return {name: Bloom(words) for name, words in read_filters(Path(folder) / table).items()}


def read_filters(at: Path) -> dict[str, np.ndarray]:
    """Filters of real values by column, from the folder of a table."""
    names = json.loads((at / "filters.json").read_text())
    return {name: np.load(at / f"filter_{i}.npy", allow_pickle=False) for i, name in enumerate(names)}


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


def _add_texts(out: pd.DataFrame, plan: TablePlan, makers: list[TextMaker], rng: np.random.Generator) -> None:
    for i, maker in enumerate(makers):
        text = maker.draw(len(out), rng)
        flag = next((k for k, v in enumerate(plan.values) if v.how is How.FLAG and v.column == maker.plan.column), None)
        if flag is not None:
            text[out[f"x{flag}"].isna().to_numpy()] = None
        out[f"w{i}"] = text
