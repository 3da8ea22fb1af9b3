"""What a score can reach at best: the same score of one half of the real rows against the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_synth.evaluation.columns import leading, led_to, row_hash
from spark_synth.schema.model import ForeignKey, Schema

HALF = "__half"


@dataclass(frozen=True)
class Halves:
    """Two databases with the same keys valid in both; `whole` tables are the same in both."""

    one: dict[str, DataFrame]
    other: dict[str, DataFrame]
    whole: set[str]


def halves(
    frames: Mapping[str, DataFrame], schema: Schema, owners: Mapping[str, str | None], folder: str, seed: int
) -> Halves:
    """Cut a database in two by families: every row goes with the row that owns it, rows without an owner by chance.

    Tables that only others lead to (reference tables, products) stay whole, so that no link is lost but those between
    families. `folder`: where both halves are written, as Parquet; tables that are there, of an earlier call with the
    same arguments, are kept.
    """
    spark = next(iter(frames.values())).sparkSession
    whole = _whole(schema, owners)
    out = Halves({}, {}, whole)
    for t in _owners_first(schema, owners):
        if t in whole:
            out.one[t] = out.other[t] = frames[t]
            continue
        path = f"{folder}/{t}"
        own = _own(schema, owners, t)
        cut = _by_chance(frames[t], schema, t, seed)
        if own and own.parent not in whole and own.parent != t:
            cut = _with_owner(cut, own, out)
        if not (Path(path) / "_SUCCESS").exists():
            cut.write.mode("overwrite").partitionBy(HALF).parquet(path)
        kept = spark.read.schema(cut.schema).parquet(path)
        out.one[t], out.other[t] = (kept.where(F.col(HALF) == h).drop(HALF) for h in (0, 1))
    return out


def _whole(schema: Schema, owners: Mapping[str, str | None]) -> set[str]:
    """Reference tables, and roots that are linked to but own nothing."""
    owning = {fk.parent for t in schema.tables if (fk := _own(schema, owners, t))}
    linked = {fk.parent for table in schema.tables.values() for fk in table.foreign_keys}
    roots = {t for t in schema.tables if _own(schema, owners, t) is None}
    return {t for t, v in schema.tables.items() if v.reference} | ((roots & linked) - owning)


def _own(schema: Schema, owners: Mapping[str, str | None], table: str) -> ForeignKey | None:
    name = owners.get(table)
    return next((fk for fk in schema.table(table).foreign_keys if fk.name == name), None)


def _owners_first(schema: Schema, owners: Mapping[str, str | None]) -> Iterator[str]:
    """Every table after the one that owns its rows."""
    done: set[str] = set()
    while len(done) < len(schema.tables):
        for t in schema.tables:
            own = _own(schema, owners, t)
            if t not in done and (own is None or own.parent in done | {t}):
                done.add(t)
                yield t


def _by_chance(frame: DataFrame, schema: Schema, table: str, seed: int) -> DataFrame:
    return frame.withColumn(HALF, row_hash(schema.table(table), seed).bitwiseAND(F.lit(1)).cast("int"))


def _with_owner(cut: DataFrame, own: ForeignKey, made: Halves) -> DataFrame:
    """Rows in the half of the row that owns them; those that nothing owns stay where chance put them."""
    names = [f"__k{i}" for i in range(len(own.columns))]
    parents = [part[own.parent] for part in (made.one, made.other)]
    sides = [parent.select(*led_to(own, names), F.lit(h).alias("__of")) for h, parent in enumerate(parents)]
    above = sides[0].unionByName(sides[1])
    mine = leading(own, parents[0], names)
    joined = cut.select("*", *mine).join(above, names, "left")
    return joined.withColumn(HALF, F.coalesce("__of", HALF)).drop("__of", *names)
