"""Frames to codes, codes to families, families to packs: the training set, written by Spark for the feed.

A pack is one Parquet record that holds about PACK_ROWS rows of whole families (or segments) as packed int16, so the
feed copies bytes instead of parsing rows. Files are buckets of the parent key's hash; `split=train|holdout` keeps all
rows of one family on one side.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import pandas as pd
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from spark_synth.encoding.edge_plan import OwnerPlan
from spark_synth.encoding.plan import SAME, How, TablePlan, ValuePlan
from spark_synth.encoding.views import SECONDS_PER_DAY, day_gap, key_text, quoted, since_base, value_view, whole_days

PACK_ROWS = 512
BUCKET_ROWS = 65536
ABSENT = -1
FIELDS = ("codes", "context", "lengths", "start", "size", "sets")
PACK = "split string, rows int, families int, " + ", ".join(f"{f} binary" for f in FIELDS)


def encode_rows(frame: DataFrame, plan: TablePlan, segment_rows: int, held: Column) -> DataFrame:
    """Key and family columns of `frame`, with `codes` array<smallint> (C) and `__holdout` boolean (`held`)."""
    views: list[Column] = [value_view(v, plan.columns).alias(f"v{i}") for i, v in enumerate(plan.values)]
    views += [F.col(f"__deg_{i}").cast("double").alias(f"d{i}") for i in range(len(plan.degrees))]
    views += [F.col(f"__sum_{i}").cast("double").alias(f"s{i}") for i in range(len(plan.summaries))]
    views += [F.col("__code").alias("code")] if plan.code else []
    views += [F.col(f"__level{i}").alias(f"level{i}") for i, k in enumerate(plan.matched) if k.levels]
    if plan.time:
        t, base = F.col("__t"), plan.time.base
        first = whole_days(plan.time, t) if base is None else since_base(plan.time, base, plan.time.base_fill)
        views += [t.alias("t"), first.cast("double").alias("first")]
        views.append(day_gap(plan.time).cast("double").alias("gap"))
    hidden = ("__deg_", "__sum_", "__base", "__t", "__dt", "__code", "__level", SAME)
    kept = [c for c in frame.columns if not c.startswith(hidden)]
    keys = _key_columns(plan)
    kept = [c for c in kept if c in keys or c.startswith("__")]
    views.append(held.alias("__holdout"))
    selected = frame.select(*[quoted(c) for c in kept], *views)
    types = {f.name: f.dataType.simpleString() for f in selected.schema.fields}
    out = ", ".join([f"`{c}` {types[c]}" for c in [*kept, "__holdout"]] + ["codes array<smallint>"])
    encode = row_encoder(plan, segment_rows)
    names = [*kept, "__holdout"]

    def batches(frames: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for part in frames:
            result = part[names].copy()
            result["codes"] = list(encode(part))
            yield result

    return selected.mapInPandas(batches, out)


def row_encoder(plan: TablePlan, segment_rows: int) -> Callable[[pd.DataFrame], np.ndarray]:
    """A function from frames with the columns of `encode_rows` to codes int16 (n, C)."""

    def encode(part: pd.DataFrame) -> np.ndarray:
        codes = np.full((len(part), len(plan.cards)), ABSENT, dtype=np.int16)
        for i, degree in enumerate(plan.degrees):
            codes[:, degree.at] = degree.codec.encode(part[f"d{i}"].to_numpy(float))
        if plan.code:
            codes[:, plan.code.at] = part["code"]
        for i, link in enumerate(plan.matched):
            if link.levels:
                codes[:, link.level_at] = part[f"level{i}"]
        for i, value in enumerate(plan.values):
            for k, column in enumerate(encode_value(value, part[f"v{i}"])):
                codes[:, value.at + k] = column
        for i, summary in enumerate(plan.summaries):
            codes[:, summary.at] = summary.codec.encode(part[f"s{i}"].to_numpy(float))
        if plan.time:
            _encode_time(plan, part, codes, segment_rows)
        return codes

    return encode


def encode_value(value: ValuePlan, column: pd.Series) -> list[np.ndarray]:
    """Codes of one column's view, one array per sub-column."""
    if value.how is How.MOMENT:
        seconds = column.to_numpy(float)
        return [
            value.codecs[0].encode(np.floor(seconds / SECONDS_PER_DAY)),
            value.codecs[1].encode(seconds % SECONDS_PER_DAY),
        ]
    if value.how in (How.CATEGORY, How.FLAG, How.SAME, How.REFERENCE):
        return [value.codecs[0].encode(column.to_numpy(object))]
    return [value.codecs[0].encode(column.to_numpy(float))]


def _encode_time(plan: TablePlan, part: pd.DataFrame, codes: np.ndarray, segment_rows: int) -> None:
    """Time codes: `first` at the head of a short family, `delta` inside, `clock` with either; none where a segment's
    start is given."""
    assert plan.time is not None
    position, size = part["__pos"].to_numpy(), part["__n"].to_numpy()
    head = position % segment_rows == 0
    short = size <= segment_rows
    at = head & short
    codes[at, plan.time.first_at] = plan.time.first.encode(part["first"].to_numpy(float)[at])
    codes[~head, plan.time.delta_at] = plan.time.delta.encode(part["gap"].to_numpy(float)[~head])
    if plan.time.clock:
        drawn, clock = at | ~head, part["t"].to_numpy(np.int64) % plan.time.per_day
        codes[drawn, plan.time.clock_at] = plan.time.clock.encode(clock[drawn].astype(float))
    given = plan.time.features(part["t"].to_numpy(np.int64))
    codes[:, plan.time.given_at : plan.time.given_at + given.shape[1]] = given


def families(
    encoded: DataFrame, owner: OwnerPlan | None, parents: DataFrame | None, width: int, segment_rows: int
) -> DataFrame:
    """One row per family segment: `codes` array (rows x C, in order), `context` array (P), lengths, start, size, and
    `sets` array (rows x S) if `encoded` has it (see encoding.sets), else empty.

    parents: of the owner's table, see `contexts`.
    """
    nothing = F.array().cast("array<smallint>").alias("sets")
    sets = F.col("sets") if "sets" in encoded.columns else nothing
    if owner is None:
        one = F.lit(1)
        return encoded.select(
            F.col("__hash").alias("bucket"),
            "__holdout",
            "codes",
            F.array().cast("array<smallint>").alias("context"),
            one.alias("length"),
            F.lit(0).alias("start"),
            one.alias("size"),
            sets,
        )
    assert parents is not None
    keys = [quoted(c).alias(f"__o{i}") for i, c in enumerate(owner.columns)]
    segment = F.floor(F.col("__pos") / segment_rows).alias("__segment")
    rows = encoded.select(*keys, "__null", segment, "__pos", "__n", "__holdout", "codes", sets)
    names = [f"__o{i}" for i in range(len(keys))] + ["__null", "__segment"]
    ordered = F.array_sort(F.collect_list(F.struct("__pos", "codes", "sets")))
    grouped = rows.groupBy(*names).agg(
        F.flatten(F.transform(ordered, lambda x: x["codes"])).alias("codes"),
        F.flatten(F.transform(ordered, lambda x: x["sets"])).alias("sets"),
        F.count(F.lit(1)).cast("int").alias("length"),
        F.min("__pos").cast("int").alias("start"),
        F.first("__n").cast("int").alias("size"),
        F.first("__holdout").alias("__holdout"),
    )
    match = [F.col(f"__o{i}") == F.col(f"__k{i}") for i in range(len(keys))]
    joined = grouped.join(keyed(parents, owner, "context"), match, "left")
    named = [F.col(f"__o{i}") for i in range(len(keys))]
    context = under(owner, F.col("context"), named, width).alias("context")
    bucket = F.xxhash64(*names).alias("bucket")
    return joined.select(bucket, "__holdout", "codes", context, "length", "start", "size", "sets")


def contexts(encoded: DataFrame, plan: TablePlan, parents: DataFrame | None) -> DataFrame:
    """What other rows are conditioned on: the keys that foreign keys refer to, a row's own and its ancestors' codes.

    parents: the same of the owner's table.
    """
    keys = [quoted(c) for c in plan.referenced]
    if plan.owner is None or parents is None:
        return encoded.select(*keys, F.col("codes").alias("context"))
    owners = [quoted(c).alias(f"__p{i}") for i, c in enumerate(plan.owner.columns)]
    match = [F.col(f"__p{i}") == F.col(f"__k{i}") for i in range(len(owners))]
    joined = encoded.select(*keys, *owners, "codes").join(keyed(parents, plan.owner, "above"), match, "left")
    named = [F.col(f"__p{i}") for i in range(len(owners))]
    above = under(plan.owner, F.col("above"), named, len(plan.context_cards))
    return joined.select(*keys, F.concat(F.col("codes"), above).alias("context"))


def under(owner: OwnerPlan, above: Column, keys: list[Column], width: int) -> Column:
    """The context (`width` codes) of rows whose owner has the context `above`: ABSENT, where they have none.

    Where orphans are kept a last code tells these (1) from rows with an owner (0) and rows whose `keys` are NULL.
    """
    if owner.orphans is None:
        return F.coalesce(above, absent(width))
    last = F.when(above.isNotNull(), 0).when(key_text(keys).isNull(), ABSENT).otherwise(1).cast("smallint")
    return F.concat(F.coalesce(above, absent(width - 1)), F.array(last))


def absent(width: int) -> Column:
    """`width` codes ABSENT."""
    return F.array_repeat(F.lit(ABSENT).cast("smallint"), width)


def keyed(parents: DataFrame, owner: OwnerPlan, name: str) -> DataFrame:
    """The columns that an owner key refers to as __k0.., and the context of its rows as `name`."""
    keys = [quoted(c).alias(f"__k{i}") for i, c in enumerate(owner.parent_columns)]
    return parents.select(*keys, F.col("context").alias(name))


def write_packs(segments: DataFrame, rows: int, path: str, shards: int = 1) -> None:
    """Write packs to `path`/split=train|holdout: a file, hence a row group, per bucket of about BUCKET_ROWS rows.

    shards: how many processes will share the buckets equally.
    """
    buckets = shards * max(1, math.ceil(rows / BUCKET_ROWS / shards))
    spread = segments.repartition(buckets, "bucket").sortWithinPartitions("bucket", "start")
    packed = spread.select("__holdout", "codes", "context", "length", "start", "size", "sets").mapInPandas(_pack, PACK)
    packed.write.mode("overwrite").partitionBy("split").parquet(path)


def _pack(frames: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    for frame in frames:
        for holdout, part in frame.groupby("__holdout", sort=True):
            group = (part["length"].cumsum() - 1) // PACK_ROWS
            records = [_record(p) for _, p in part.groupby(group, sort=True)]
            yield pd.DataFrame(records).assign(split="holdout" if holdout else "train")[
                ["split", "rows", "families", *FIELDS]
            ]


def _record(part: pd.DataFrame) -> dict[str, object]:
    def packed(values: object, dtype: type) -> bytes:
        return np.asarray(values, dtype=dtype).tobytes()

    return {
        "rows": int(part["length"].sum()),
        "families": len(part),
        "codes": packed(np.concatenate(part["codes"].to_list()), np.int16),
        "context": packed(np.concatenate(part["context"].to_list()), np.int16),
        "lengths": packed(part["length"], np.int32),
        "start": packed(part["start"], np.int32),
        "size": packed(part["size"], np.int32),
        "sets": packed(np.concatenate(part["sets"].to_list()), np.int16),
    }


def frequencies(encoded: DataFrame, cards: list[int]) -> list[list[float]]:
    """Counts of every code of every sub-column; bounded by the number of codes.

    Held-out rows count too: they set only where the output biases start, and a table of eight rows that is not trained
    at all would otherwise never emit what its one held-out row has.
    """
    cells = encoded.select(F.posexplode("codes").alias("c", "k"))
    counts = [[0.0] * card for card in cards]
    for row in cells.where(F.col("k") >= 0).groupBy("c", "k").count().collect():
        counts[row["c"]][row["k"]] = float(row["count"])
    return counts


def _key_columns(plan: TablePlan) -> set[str]:
    names = {k.column for k in plan.keys} | {c for k in plan.links for c in k.columns}
    return names | set(plan.referenced) | set(plan.owner.columns if plan.owner else ())
