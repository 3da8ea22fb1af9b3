"""Foreign keys into reference tables: each row of these gets the share of the made rows that it has of the real ones.

Which row of a reference table a made row refers to is one of its values, drawn with the others. What a network draws is
near the real shares, not equal to them; rows of a key that was drawn too often are given one that was drawn too seldom,
and the values of their families are drawn again, given these keys. Siblings with the same key are given another one
together: a plane flies for one carrier.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql.functions import pandas_udf  # type: ignore[attr-defined]

from spark_synth.encoding.at_once import written
from spark_synth.encoding.codecs import CategoricalCodec
from spark_synth.encoding.plan import How, TablePlan
from spark_synth.encoding.views import key_text, quoted
from spark_synth.generation.degrees import prefix_sums, scattering
from spark_synth.generation.families import by_segment
from spark_synth.generation.part import going
from spark_synth.generation.run import Generation
from spark_synth.generation.seeds import stream
from spark_synth.generation.separate import separate


def reference_columns(plan: TablePlan) -> list[int]:
    """The sub-columns that are keys of reference tables."""
    return [at for _, _, _, at in _keys(plan)]


def settled(run: Generation, plan: TablePlan, rows: DataFrame) -> DataFrame:
    """The segments of a table some of whose rows should have other reference keys than they were drawn with:
    __segment, and the codes of the keys of all rows after each other, as __references.

    Each key gets its real share of the rows, and no set of values is repeated that may occur once. rows: written ones.
    """
    found = _keys(plan)
    columns = [F.col(column) for column, _, _, _ in found]
    counted = [{r[column]: r["count"] for r in rows.groupBy(column).count().collect()} for column, _, _, _ in found]
    names, work = _drawn_names(plan), f"{run.work}/_settled/{plan.table}"
    needed = [c for c in rows.columns if c in {"__idx", "__segment", *names.values()}]
    rows = rows.select(*needed, F.array(*columns).alias("__before"))
    for i, ((column, keys, codec, _), counts) in enumerate(zip(found, counted, strict=True)):
        shares = _before(run, plan.table, keys, codec) if plan.table in run.part else codec.counts
        rows = _to_quota(rows if i == 0 else written(rows, f"{work}/q{i}"), column, codec, counts, shares)
    rows = _separated(run, plan, rows, names, work)
    codes = F.array(*[_code(codec, F.col(column)) for column, _, codec, _ in found])
    told = rows.select(
        "__idx", "__segment", codes.alias("__references"), (F.col("__before") != F.array(*columns)).alias("__moved")
    )
    segments = by_segment(told, ["__references", "__moved"])
    return segments.where(F.array_contains("__moved", True)).drop("__moved")


def quotas(counts: Sequence[float], total: int) -> np.ndarray:
    """int64 (K,): `total` dealt out in proportion to `counts`, by largest remainders."""
    share = np.asarray(counts, dtype=float) / max(1e-9, float(np.sum(counts))) * total
    whole: np.ndarray = np.floor(share + 1e-9).astype(np.int64)
    left = total - int(whole.sum())
    whole[np.argsort(whole - share, kind="stable")[:left]] += 1
    return whole


def _keys(plan: TablePlan) -> list[tuple[str, tuple[str, ...], CategoricalCodec, int]]:
    """(drawn column, columns of the table, codec, sub-column) of each key of a reference table."""
    found = []
    for i, value in enumerate(plan.values):
        codec = value.codecs[0]
        if value.how is How.REFERENCE and isinstance(codec, CategoricalCodec) and codec.categories:
            found.append((f"x{i}", value.keys, codec, value.at))
    return found


def _before(run: Generation, table: str, keys: Sequence[str], codec: CategoricalCodec) -> list[int]:
    """How often rows that are replaced have each category."""
    text = key_text([quoted(c) for c in keys]).alias("text")
    counted = {r["text"]: r["count"] for r in going(run, table).groupBy(text).count().collect()}
    return [counted.get(c, 0) for c in codec.categories]


def _to_quota(
    rows: DataFrame,
    column: str,
    codec: CategoricalCodec,
    counted: Mapping[str | None, int],
    shares: Sequence[float],
) -> DataFrame:
    """`rows` in which `column` has every category as often as its quota, by `shares`, of the rows without NULL;
    counted: rows of every category."""
    have = np.array([counted.get(c, 0) for c in codec.categories], dtype=np.int64)
    want = quotas(shares, int(have.sum()))
    many, few = np.maximum(have - want, 0), np.maximum(want - have, 0)
    moved = int(many.sum())
    if not moved:
        return rows
    before, ends, names = np.cumsum(many) - many, np.cumsum(few), np.array(codec.categories, dtype=object)
    index = pd.Index(codec.categories, dtype=object)

    @pandas_udf("int")  # type: ignore[call-overload,untyped-decorator]
    def place(text: pd.Series) -> pd.Series:
        at = index.get_indexer(pd.Index(text))
        return pd.Series(np.where((at >= 0) & (many[at] > 0), at, -1))

    @pandas_udf("string")  # type: ignore[call-overload,untyped-decorator]
    def dealt(text: pd.Series, cell: pd.Series, rank: pd.Series) -> pd.Series:
        c, r = cell.to_numpy(), rank.to_numpy(np.int64)
        to = np.searchsorted(ends, before[c] + r, side="right").clip(max=len(names) - 1)
        return text.where((c < 0) | (r >= many[c]), pd.Series(names[to]))

    siblings = Window.partitionBy("__segment", "__cell").orderBy("__idx")
    found = rows.withColumn("__cell", place(column)).withColumn("__own", F.row_number().over(siblings) - 1)
    groups = found.where("__cell >= 0").groupBy("__segment", "__cell").agg(F.count(F.lit(1)).alias("__rows"))
    groups = groups.withColumn("__idx", _scattered(F.col("__segment"), sum(counted.values())))
    ranked, _ = prefix_sums(groups, "__rows", "__cell")
    placed = found.join(ranked.select("__segment", "__cell", "__start"), ["__segment", "__cell"], "left")
    rank = F.coalesce(F.col("__start") + F.col("__own"), F.lit(0))
    return placed.withColumn(column, dealt(column, "__cell", rank)).select(*rows.columns)


def _scattered(number: Column, size: int) -> Column:
    """A bijection of 0..size-1 that takes neighbours apart."""
    factor, modulus = (F.lit(n).cast("decimal(38,0)") for n in (scattering(size), size))
    return F.pmod(number.cast("decimal(38,0)") * factor, modulus).cast("bigint")


def _drawn_names(plan: TablePlan) -> dict[str, str]:
    """Column of the table -> column of drawn rows, of all keys."""
    names = plan.drawn | {k.column: f"k{i}" for i, k in enumerate(plan.keys)}
    return names | {c: column for column, keys, _, _ in _keys(plan) for c in keys}


def _separated(run: Generation, plan: TablePlan, rows: DataFrame, names: Mapping[str, str], work: str) -> DataFrame:
    """`rows` in which no values repeat that may occur once, as far as exchanges of reference keys go."""
    for i, unique in enumerate(plan.unique):
        inside = [column for column, keys, _, _ in _keys(plan) if set(keys) <= set(unique)]
        if inside and set(unique) <= set(names):
            drawn = list(dict.fromkeys(names[c] for c in unique))
            seed = stream(run.seed_of(plan.table), "settle", plan.table, i)
            rows = separate(rows, drawn, inside[-1:], seed, f"{work}/u{i}", drop=False)
    return rows


def _code(codec: CategoricalCodec, text: Column) -> Column:
    @pandas_udf("smallint")  # type: ignore[call-overload,untyped-decorator]
    def encoded(text: pd.Series) -> pd.Series:
        return pd.Series(codec.encode(text.to_numpy(object)))

    out: Column = encoded(text)
    return out
