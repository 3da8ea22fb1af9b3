"""What the values of a table look like: two Spark jobs a table, whatever its rows.

A sample of rows, chosen by a hash, proposes what each column holds and is what evidence is drawn from; counts over all
rows confirm it. A value that does not fit makes the column a text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import pandas as pd
from pyspark.sql import Column as SparkColumn
from pyspark.sql import functions as F

from spark_synth.schema.model import Column, Kind
from spark_synth.sources.files import RawTable
from spark_synth.sources.spark_util import col, measure, quote
from spark_synth.sources.types import BAD, level

SAMPLE = 2000  # rows of a table that are looked at
HLL_ERROR = 0.02
_WHOLE_LEVELS = 2  # of `level` for keys: 1 and 2 are whole numbers
_FLAGS = frozenset({"true", "false", "t", "f", "yes", "no", "y", "n"})
_DATE = r"\d{4}-\d{1,2}-\d{1,2}(?:[T ].*)?"
_FORMATS = ("%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%Y/%m/%d", "%d/%m/%Y %H:%M:%S", "%m/%d/%Y %H:%M:%S")


class Holds(StrEnum):
    """What the values of a column are."""

    WHOLE = "whole numbers"
    NUMBER = "numbers"
    TIME = "dates"
    FLAG = "true or false"
    TEXT = "text"
    OTHER = "values that are not modelled"


@dataclass(frozen=True)
class Look:
    """One column. known: rows with a value; distinct: of them, about; least, greatest: of numbers; sample: distinct
    values as text, the commonest first; format: strptime format of dates in text that are not ISO."""

    table: str
    name: str
    place: int
    holds: Holds
    rows: int
    known: int
    distinct: int
    least: float | None
    greatest: float | None
    longest: int
    sample: Sequence[str]
    format: str | None = None


def look(name: str, raw: RawTable) -> list[Look]:
    """Every column of a table, in its order."""
    columns = [c for c in raw.frame.columns if c != raw.ragged]
    sample = _sample(raw, columns)
    given = {f.name: f.dataType.simpleString() for f in raw.frame.schema}
    proposed = {c: _proposed(given[c], sample[c].dropna()) for c in columns}
    aggregates = [F.count(F.lit(1)).alias("rows")]
    for i, c in enumerate(columns):
        aggregates += [a.alias(f"{n}{i}") for n, a in _counts(c, *proposed[c], given[c] == "string").items()]
    seen = measure(raw.frame, aggregates).asDict()
    return [_look(name, i, c, proposed[c], seen, sample[c]) for i, c in enumerate(columns)]


def normal(of: Look) -> SparkColumn:
    """The values of a column so that those of two columns can be compared."""
    return F.expr(f"try_cast({quote(of.name)} as bigint)") if of.holds is Holds.WHOLE else col(of.name).cast("string")


def _sample(raw: RawTable, columns: list[str]) -> pd.DataFrame:
    texts = [col(c).cast("string").alias(str(i)) for i, c in enumerate(columns)]
    order = F.xxhash64(*[col(c).cast("string") for c in columns])
    rows = raw.frame.select(*texts, order.alias("place")).orderBy("place").limit(SAMPLE).drop("place").toPandas()
    return rows.set_axis(columns, axis=1)


def _proposed(given: str, values: pd.Series) -> tuple[Holds, str | None]:
    """What a column seems to hold, and the format of dates."""
    if given in ("tinyint", "smallint", "int", "bigint"):
        return Holds.WHOLE, None
    if given in ("float", "double") or given.startswith("decimal"):
        return Holds.NUMBER, None
    if given in ("date", "timestamp", "timestamp_ntz"):
        return Holds.TIME, None
    if given == "boolean":
        return Holds.FLAG, None
    if given != "string":
        return Holds.OTHER, None
    texts = values.astype("string")
    if texts.empty:
        return Holds.TEXT, None
    if set(texts.str.lower()) <= _FLAGS and texts.nunique() <= 2:
        return Holds.FLAG, None
    if texts.str.fullmatch(r"0|-?[1-9][0-9]{0,17}").all():
        return Holds.WHOLE, None
    if texts.str.fullmatch(r"[+-]?(?:0|[1-9]\d*)?(?:\.\d+)?(?:[eE][+-]?\d+)?").all():
        return Holds.NUMBER, None
    if texts.str.fullmatch(_DATE).all():
        return Holds.TIME, None
    for format_ in _FORMATS:
        if pd.to_datetime(texts, format=format_, errors="coerce").notna().all():
            return Holds.TIME, format_
    return Holds.TEXT, None


def _counts(name: str, holds: Holds, format_: str | None, is_text: bool) -> dict[str, SparkColumn]:
    value = col(name)
    text = value.cast("string")
    found = {"known": F.count(value), "distinct": F.approx_count_distinct(text, HLL_ERROR)}
    found["longest"] = F.max(F.length(text))
    if holds in (Holds.WHOLE, Holds.NUMBER):
        number = F.expr(f"try_cast({quote(name)} as double)")
        found |= {"least": F.min(number), "greatest": F.max(number)}
    kinds = {Holds.WHOLE: Kind.KEY, Holds.NUMBER: Kind.NUMERIC, Holds.TIME: Kind.DATETIME, Holds.FLAG: Kind.BOOLEAN}
    if is_text and holds in kinds:
        found["level"] = F.max(level(name, Column(kind=kinds[holds], format=format_), None))
    return found


def _look(
    table: str, i: int, name: str, proposed: tuple[Holds, str | None], seen: Mapping[str, Any], sample: pd.Series
) -> Look:
    holds, format_ = proposed
    told = seen.get(f"level{i}")
    if told is not None and (told == BAD or (holds is Holds.WHOLE and told > _WHOLE_LEVELS)):
        holds, format_ = Holds.TEXT, None
    known, rows = int(seen[f"known{i}"]), int(seen["rows"])
    distinct = min(known, int(seen[f"distinct{i}"]))
    if rows <= len(sample):  # all rows are there
        distinct = int(sample.nunique())
    numbers = holds in (Holds.WHOLE, Holds.NUMBER)
    return Look(
        table=table,
        name=name,
        place=i,
        holds=holds,
        rows=rows,
        known=known,
        distinct=distinct,
        least=seen.get(f"least{i}") if numbers else None,
        greatest=seen.get(f"greatest{i}") if numbers else None,
        longest=int(seen[f"longest{i}"] or 0),
        sample=sample.dropna().astype(str).value_counts().index.tolist(),
        format=format_,
    )
