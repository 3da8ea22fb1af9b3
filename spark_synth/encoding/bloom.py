"""A Bloom filter of the real values of a column, built in Spark, so that generated keys and texts never repeat one.

Bloom (CACM 1970): no false negatives, so a value that passes is certainly not a real one; a false positive only costs
one redraw. The filter holds bits, not values, and is bounded by MAX_BITS whatever the number of rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from spark_synth.schema.names import quote

BITS_PER_VALUE = 16
MAX_BITS = 1 << 27
HASHES = 6


class Bloom:
    """Membership test over a bit array (uint64 words, a power of two of them)."""

    def __init__(self, words: np.ndarray) -> None:
        self.words = words

    def contains(self, values: np.ndarray) -> np.ndarray:
        """bool (n,) for text values object (n,): False means certainly not among the real ones."""
        at = _positions(values, len(self.words) * 64)
        bits = (self.words[at >> np.uint64(6)] >> (at & np.uint64(63))) & np.uint64(1)
        out: np.ndarray = bits.all(axis=1)
        return out


class AnyOf:
    """Membership in one of several filters."""

    def __init__(self, blooms: Sequence[Bloom]) -> None:
        self.blooms = blooms

    def contains(self, values: np.ndarray) -> np.ndarray:
        """bool (n,) as Bloom.contains."""
        found = np.zeros(len(values), dtype=bool)
        for bloom in self.blooms:
            found |= bloom.contains(values)
        return found


def build_blooms(df: DataFrame, sizes: Mapping[str, int]) -> dict[str, np.ndarray]:
    """Words uint64 of one filter per column (as text, NULL skipped), for `sizes[column]` values each; one job."""
    if not sizes:
        return {}
    names = list(sizes)
    bits = [1 << int(np.ceil(np.log2(max(1024, min(sizes[n] * BITS_PER_VALUE, MAX_BITS))))) for n in names]

    def words_of(frames: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for frame in frames:
            for c in np.unique(frame["c"]).tolist():
                values = frame["v"][frame["c"] == c]
                at = np.unique(_positions(values.to_numpy(), bits[c]))
                word, first = np.unique(at >> np.uint64(6), return_index=True)
                ored = np.bitwise_or.reduceat(np.uint64(1) << (at & np.uint64(63)), first)
                yield pd.DataFrame({"c": c, "word": word.astype(np.int64), "bits": ored.view(np.int64)})

    parts = stacked(df, names).mapInPandas(words_of, "c int, word long, bits long")
    found = parts.groupBy("c", "word").agg(F.bit_or("bits").alias("bits")).toPandas()  # bounded: bits / 64 rows
    out = {n: np.zeros(b // 64, dtype=np.int64) for n, b in zip(names, bits, strict=True)}
    for i, name in enumerate(names):
        rows = found[found["c"] == i]
        out[name][rows["word"].to_numpy()] = rows["bits"].to_numpy()
    return {n: words.view(np.uint64) for n, words in out.items()}


def stacked(df: DataFrame, names: list[str], *more: Column) -> DataFrame:
    """The non-NULL values of some columns under each other: c (place in `names`), v (text), and `more` of their row."""
    cells = F.posexplode(F.array(*[F.col(quote(n)).cast("string") for n in names])).alias("c", "v")
    return df.select(*more, cells).where(F.col("v").isNotNull())


def _positions(values: np.ndarray, bits: int) -> np.ndarray:
    """uint64 (n, HASHES) bit positions by double hashing (Kirsch and Mitzenmacher, 2006)."""
    hashed = pd.util.hash_array(np.asarray(values, dtype=object), categorize=False)
    low, high = hashed & np.uint64(0xFFFFFFFF), (hashed >> np.uint64(32)) | np.uint64(1)
    steps = np.arange(HASHES, dtype=np.uint64)
    out: np.ndarray = (low[:, None] + steps * high[:, None]) & np.uint64(bits - 1)
    return out
