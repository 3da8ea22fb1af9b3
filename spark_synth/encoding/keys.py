"""Synthetic primary keys: a function of the row's index, in the form of the real keys, never equal to a real one."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_synth.schema.check import INTEGERS, UUID
from spark_synth.schema.names import quote

CLASSES = ("0123456789", "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
TRIES = 16


class Taken(Protocol):
    """Knows values that must not be made (see encoding.bloom)."""

    def contains(self, values: np.ndarray) -> np.ndarray:
        """bool (n,) for text values object (n,)."""


@dataclass
class KeyPlan:
    """How a key column is made from the row index i.

    how: integer (`start` + i), position (1 + position in the family), uuid, or pattern (mixed radix over `charsets`).
    """

    column: str
    how: str
    start: int = 0
    charsets: list[str] = field(default_factory=list)


def fit_key(df: DataFrame, column: str, type_: str) -> KeyPlan:
    """The plan of a single key column, from its real values (two small aggregations)."""
    value = F.col(quote(column))
    if type_ in INTEGERS or type_.startswith("decimal"):
        row = df.agg(F.max(value.cast("bigint")).alias("m")).head()
        assert row is not None
        return KeyPlan(column, "integer", start=max(0, row["m"] or 0) + 1)
    text = value.cast("string")
    row = df.agg(F.min(text.rlike(UUID)).alias("uuid"), F.mode(F.length(text)).alias("length")).head()
    assert row is not None
    if row["uuid"]:
        return KeyPlan(column, "uuid")
    shaped = df.where(F.length(text) == (row["length"] or 1))
    places = F.transform(F.split(text, ""), lambda c, i: F.struct(i.alias("i"), c.alias("c")))
    rows = shaped.select(F.explode(places).alias("x")).groupBy("x.i").agg(F.collect_set("x.c").alias("s"))
    sets = {r["i"]: "".join(sorted(c for c in r["s"] if c)) for r in rows.collect()}
    return KeyPlan(column, "pattern", charsets=[_widen(sets[i]) for i in sorted(sets) if sets[i]])


def make_keys(
    plan: KeyPlan, index: np.ndarray, position: np.ndarray, count: int, salt: str, real: Taken | None, first: int = 0
) -> np.ndarray:
    """Key values (n,) of rows `index` int64 (n,): int64, or text objects.

    position: int64 (n,) place in the family; count: rows of the whole synthetic table or of the real one, whichever
    has more, so that free keys are left, and keys made besides those of rows (for orphans), which follow these; salt:
    makes UUIDs differ between tables and seeds; real: filter of keys that are not to be made; first: what `used_up`
    says of the waves of the table before this one, together.
    """
    if plan.how == "integer":
        return free_values(lambda i: plan.start + i, first + index, count, real)
    if plan.how == "position":
        return position + 1
    if plan.how == "uuid":
        return np.array([_uuid(salt, i) for i in (first + index).tolist()], dtype=object)
    charsets = list(plan.charsets) or [CLASSES[0]]
    while math.prod(len(c) for c in charsets) < first + count * TRIES:
        charsets.append(CLASSES[0])
    space = math.prod(len(c) for c in charsets)
    return free_values(lambda i: spell(i, charsets, space), first + index, count, real)


def used_up(plans: Sequence[KeyPlan], rows: int, count: int, spare: bool) -> int:
    """Numbers that keys of one wave of a table are made from, which those of the next one must not be.

    rows: of the wave; count: as make_keys has it; spare: whether keys are made besides those of rows. Whole numbers of
    rows alone follow each other without a gap; any other key may be made anew from a number further on, and keys of
    more characters than before begin no sooner.
    """
    plain = not spare and all(k.how in ("integer", "position") for k in plans)
    return rows if plain else count * TRIES


def free_values(
    make: Callable[[np.ndarray], np.ndarray], index: np.ndarray, count: int, real: Taken | None
) -> np.ndarray:
    """Values of i, i + count, i + 2 count, ... until one is not real; all candidates differ between rows."""
    keys = make(index)
    todo = np.arange(len(index))
    for attempt in range(1, TRIES):
        if real is None or not len(todo):
            break
        todo = todo[real.contains(keys[todo].astype(str).astype(object))]
        keys[todo] = make(index[todo] + attempt * count)
    return keys


def spell(numbers: np.ndarray, charsets: list[str], space: int) -> np.ndarray:
    """Mixed-radix spelling after a multiplicative shuffle (a bijection modulo `space`), so keys do not look counted."""
    factor = coprime(space)
    shuffled = [(int(n) * factor + 12345) % space for n in numbers.tolist()]
    columns = []
    for chars in reversed(charsets):
        digits = [n % len(chars) for n in shuffled]
        shuffled = [n // len(chars) for n in shuffled]
        columns.append([chars[d] for d in digits])
    return np.array(["".join(parts) for parts in zip(*reversed(columns), strict=True)], dtype=object)


def coprime(size: int) -> int:
    """A factor that shuffles the numbers below `size` without putting two at one place."""
    factor = int(size * 0.6180339887) | 1
    while math.gcd(factor, size) != 1:
        factor += 2
    return factor


def _widen(seen: str) -> str:
    """The whole class of a varying character (all digits, all lower case letters, ...); one fixed character stays."""
    if len(seen) == 1:
        return seen
    extra = "".join(c for c in CLASSES if any(x in seen for x in c))
    return "".join(dict.fromkeys(extra + seen))


def _uuid(salt: str, index: int) -> str:
    digest = hashlib.md5(f"{salt}/{index}".encode(), usedforsecurity=False).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-4{digest[13:16]}-a{digest[17:20]}-{digest[20:32]}"
