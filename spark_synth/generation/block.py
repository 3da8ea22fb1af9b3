"""One block of rows, drawn inside a Spark task: the same block gives the same rows wherever and whenever it runs."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from spark_synth.encoding.bloom import Bloom
from spark_synth.encoding.keys import make_keys
from spark_synth.encoding.plan import How, TablePlan
from spark_synth.encoding.text import TextMaker
from spark_synth.encoding.unique_text import unique_texts
from spark_synth.generation.codes import (
    BlockJob,
    block_rng,
    flat,
    members,
    per_block,
    read_plan,
    structure_codes,
    tilts,
    value_codes,
)
from spark_synth.generation.decode import decode_values, decoded_fields
from spark_synth.generation.persons import fit_addresses
from spark_synth.generation.regions import countries_of, draw_at_home
from spark_synth.generation.run import Maker
from spark_synth.generation.seeds import stream, uniforms


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
    return per_block(lambda block: draw_structure(job, block))


def block_maker(job: BlockJob) -> Maker:
    """A function for mapInPandas: segments sorted by block and row, in; rows of these blocks, out.

    At most one block of segments and its rows are held at a time.
    """
    return per_block(lambda block: draw_block(job, block))


def draw_structure(job: BlockJob, block: pd.DataFrame) -> pd.DataFrame:
    """Degrees, own code and codes of link targets of all rows of one block: the columns of `structure_fields`."""
    plan, codes = read_plan(job.folder, job.table), structure_codes(job, block, tilts(job))
    family, inner = members(block)
    head = block["row"].to_numpy(np.int64)[family]
    out = pd.DataFrame({"__idx": head + inner, "__segment": head})
    if plan.sets:
        _add_keys(out, job, plan, _position(block, family, inner), codes)
    for i in range(len(plan.owner.columns) if plan.owner else 0):
        out[f"o{i}"] = block[f"o{i}"].to_numpy(object)[family]
    out["__codes"] = list(codes.astype(np.int16))
    return out.sort_values("__idx", kind="stable")


def draw_block(job: BlockJob, block: pd.DataFrame) -> pd.DataFrame:
    """All rows of one block. `block`: the segments of generation.degrees, with owner keys, context and base, and for a
    table with links what is known of each row: `fixed` (its fixed codes) and l0.. (its keys), rows after each other."""
    plan, rng = read_plan(job.folder, job.table), block_rng(job, block)
    codes, context, clock = value_codes(job, block, rng, tilts(job))
    family, inner = members(block)
    head = block["row"].to_numpy(np.int64)[family]
    out = decode_values(plan, codes, clock.times if clock else None, rng)
    out.insert(0, "__idx", head + inner)
    out["__segment"] = head
    for i in range(len(plan.owned)):
        out[f"o{i}"] = block[f"o{i}"].to_numpy(object)[family]
    for i in range(len(plan.early)):
        out[f"l{i}"] = flat(block[f"l{i}"])
    for i, link in enumerate(plan.matched):
        if link.late:
            out[f"__late_{i}"] = codes[:, link.at].astype(np.int16)
        if link.levels:
            out[f"__level_{i}"] = codes[:, link.level_at].astype(np.int16)
    _add_keys(out, job, plan, _position(block, family, inner), codes)
    _add_texts(out, plan, _text_makers(job.folder, job.table, job.seed), rng, job)
    if job.parent:
        out["__context"] = list(np.concatenate([codes, context[family]], axis=1).astype(np.int16))
    return out.sort_values("__idx", kind="stable")[list(output_fields(plan, job.parent))]


def _position(block: pd.DataFrame, family: np.ndarray, inner: np.ndarray) -> np.ndarray:
    """int64 (N,): the place of each row among those of its owner, after the rows that earlier waves gave to it."""
    first = block["start"].to_numpy(np.int64)
    if "__before" in block:
        first = first + block["__before"].fillna(0).to_numpy(np.int64)
    place: np.ndarray = first[family] + inner
    return place


def _add_keys(out: pd.DataFrame, job: BlockJob, plan: TablePlan, position: np.ndarray, codes: np.ndarray) -> None:
    """Keys and degrees of the rows `out` (with __idx): the same before and after their values are drawn."""
    index = out["__idx"].to_numpy(np.int64)
    blooms = _blooms(job.folder, job.table)
    for i, key in enumerate(plan.keys):
        salt = f"{job.seed}/{job.table}/{key.column}"
        out[f"k{i}"] = make_keys(key, index, position, job.keys, salt, blooms.get(key.column), job.used)
    add_degrees(out, plan, job.seed, codes)


def add_degrees(out: pd.DataFrame, plan: TablePlan, seed: int, codes: np.ndarray) -> None:
    """__deg_0.. of the rows `out` (with __idx), whose codes are int64 (N, C)."""
    index = out["__idx"].to_numpy(np.int64)
    for i, degree in enumerate(plan.degrees):
        drawn = degree.codec.decode(codes[:, degree.at], uniforms(seed, f"{plan.table}/degree/{i}", index))
        out[f"__deg_{i}"] = np.rint(drawn).astype(np.int64)


@lru_cache(maxsize=4)
def _text_makers(folder: str, table: str, seed: int) -> list[TextMaker]:
    """The text makers of a table, once per Python worker."""
    plan, blooms = read_plan(folder, table), _blooms(folder, table)
    return [TextMaker(t, stream(seed, "text", table, t.column) % 2**31, blooms.get(t.column)) for t in plan.texts]


@lru_cache(maxsize=4)
def _blooms(folder: str, table: str) -> dict[str, Bloom]:
    return {name: Bloom(words) for name, words in read_filters(Path(folder) / table).items()}


def read_filters(at: Path) -> dict[str, np.ndarray]:
    """Filters of real values by column, from the folder of a table."""
    names = json.loads((at / "filters.json").read_text())
    return {name: np.load(at / f"filter_{i}.npy", allow_pickle=False) for i, name in enumerate(names)}


def _add_texts(
    out: pd.DataFrame, plan: TablePlan, makers: list[TextMaker], rng: np.random.Generator, job: BlockJob
) -> None:
    number, countries = job.used + out["__idx"].to_numpy(np.int64), countries_of(out, plan)
    for i, maker in enumerate(makers):
        if maker.plan.unique:
            text = unique_texts(maker, number, job.used + job.keys, countries)
        else:
            text = draw_at_home(maker, countries, rng)
        flag = next((k for k, v in enumerate(plan.values) if v.how is How.FLAG and v.column == maker.plan.column), None)
        if flag is not None:
            text[out[f"x{flag}"].isna().to_numpy()] = None
        out[f"w{i}"] = text
    fit_addresses(out, plan, makers, number, rng)
