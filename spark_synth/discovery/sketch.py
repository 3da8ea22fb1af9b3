"""Sketches of the values of columns, which tell whether the values of one are among those of another.

A sketch holds the hashes of a column's distinct values that end in `level` zero bits: about SIZE of them, chosen alike
in every column, so that what is in the sketch of one and not in that of another is not among its values (distinct
sampling: Gibbons, 2001). What a sketch refuses is not looked at again; what it lets pass is counted over all rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import functions as F

from spark_synth.discovery.profile import Look, normal
from spark_synth.sources.files import RawTable
from spark_synth.sources.spark_util import measure

SIZE = 512


@dataclass(frozen=True)
class Sketch:
    """The hashes of a sample of distinct values."""

    level: int
    hashes: frozenset[int]


def sketch(raw: RawTable, columns: Sequence[Look]) -> list[Sketch]:
    """Sketches of columns of one table; one Spark job."""
    levels = [max(0, math.ceil(math.log2(max(1, c.distinct) / SIZE))) for c in columns]
    parts = []
    for i, (c, n) in enumerate(zip(columns, levels, strict=True)):
        hashed, value = F.xxhash64(normal(c)), normal(c)
        kept = value.isNotNull() & (hashed.bitwiseAND(F.lit(2**n - 1)) == 0)
        parts.append(F.collect_set(F.when(kept, hashed)).alias(f"s{i}"))
    found = measure(raw.frame, parts)
    return [Sketch(n, frozenset(found[f"s{i}"])) for i, n in enumerate(levels)]


def among(one: Sketch, other: Sketch) -> float | None:
    """About which share of the values of `one` is among those of `other`; None where too few are left to tell."""
    mask = 2 ** max(one.level, other.level) - 1
    seen = [h for h in one.hashes if h & mask == 0]
    return sum(h in other.hashes for h in seen) / len(seen) if seen else None
