"""Primary keys: columns that are never NULL, never repeat, and look like a key.

Every column of a small table may be unique by chance, so what a column is called, where it stands and what it holds
decide between them (the evidence of Jiang and Naumann, Holistic primary key and foreign key detection, 2020).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from pyspark.sql import functions as F

from spark_synth.discovery.names import core, is_key_like, likeness, words
from spark_synth.discovery.profile import Holds, Look, normal
from spark_synth.sources.files import RawTable
from spark_synth.sources.spark_util import measure

LEAST = 0.45  # score of a key that is proposed
NEARLY = 0.95  # of the rows that must be distinct by sketch before they are counted
MOST_COLUMNS, MOST_PARTS = 8, 4  # of a composite key: columns that are tried, and those of one key
LONGEST = 64  # characters of a key
NAMED, LED = 0.95, 0.65  # likeness of a column and its own table, or one that it leads to
JOINING = 0.4  # what a column loses that is called like another table, in a table that joins several


@dataclass(frozen=True)
class FoundKey:
    """A primary key, how sure that is (0 to 1), and why, in words."""

    columns: tuple[str, ...]
    confidence: float
    evidence: str


def single_key(raw: RawTable, columns: Sequence[Look], looks: Mapping[str, Sequence[Look]]) -> FoundKey | None:
    """The column that is the key of a table; None where none looks like one. looks: the columns of all tables."""
    leading = _leading(columns, looks)
    named = Counter(c.name.lower() for table in looks.values() for c in table)
    scored = (
        (_score(c, named[c.name.lower()] > 1) - (JOINING if c.name in leading else 0.0), c)
        for c in columns
        if _could_be(c)
    )
    ranked = sorted(scored, key=lambda each: (-each[0], each[1].place))
    for score, c in ranked:
        if score >= LEAST and _distinct(raw, [c]) == c.rows:
            return FoundKey((c.name,), min(1.0, score), f"unique and never NULL in {c.rows:,} rows{_why(c)}")
    return None


def composite_key(raw: RawTable, columns: Sequence[Look], linked: set[str]) -> FoundKey | None:
    """The fewest columns that are a key together. linked: columns that lead to other tables, which are tried first."""
    usable = [c for c in columns if c.known == c.rows and c.longest <= LONGEST and c.holds is not Holds.NUMBER]
    usable = [c for c in usable if c.distinct > 1 and c.holds is not Holds.OTHER]
    weight = {c.name: _part(c, linked) for c in usable}
    tried = sorted(usable, key=lambda c: (-weight[c.name], c.place))[:MOST_COLUMNS]
    for size in range(2, MOST_PARTS + 1):
        sets = [s for s in combinations(sorted(tried, key=lambda c: c.place), size) if _many(s)]
        sets.sort(key=lambda s: -sum(weight[c.name] for c in s))
        if not sets:
            continue
        about = measure(
            raw.frame, [F.approx_count_distinct(F.xxhash64(*map(normal, s))).alias(str(i)) for i, s in enumerate(sets)]
        )
        for i, s in enumerate(sets):
            if about[str(i)] >= (NEARLY - 0.05) * s[0].rows and _distinct(raw, s) == s[0].rows:
                names = tuple(c.name for c in s)
                sure = min(0.95, 0.4 + 0.55 * sum(weight[n] for n in names) / len(names))
                leads = [n for n in names if n in linked]
                why = f"; {', '.join(leads)} lead to other tables" if leads else ""
                return FoundKey(names, sure, f"unique together and never NULL in {s[0].rows:,} rows{why}")
    return None


def _leading(columns: Sequence[Look], tables: Collection[str]) -> set[str]:
    """Columns called like other tables, where there are two or more: each of them may be unique by chance."""
    found = set()
    for c in columns:
        own = likeness(c.name, c.table, "id")
        other = max((likeness(c.name, t, "id") for t in tables if t != c.table), default=0.0)
        composed = len(words(c.table)) > 1 and own < NAMED  # the beginning of such a name says nothing
        if is_key_like(c.name) and other >= LED and (composed or other > own):
            found.add(c.name)
    return found if len(found) > 1 else set()


def _could_be(c: Look) -> bool:
    whole = c.known == c.rows > 0 and c.distinct >= NEARLY * c.rows
    return whole and c.longest <= LONGEST and c.holds in (Holds.WHOLE, Holds.TEXT)


def _score(c: Look, shared: bool) -> float:
    """How much a unique column looks like a key. shared: another table has a column of its name."""
    score = 0.3 if is_key_like(c.name) else 0.0
    if core(c.name) in ((), words(c.table)) or likeness(c.name, c.table, c.name) >= 1.0:
        score = 0.5  # `id`, or called like the table
    score += {0: 0.2, 1: 0.05}.get(c.place, 0.0)
    if c.holds is Holds.WHOLE:
        return score + 0.2 + (0.1 if _dense(c) else 0.0)
    if any(" " in v for v in c.sample):
        return score - 0.3
    return score + 0.15 + (0.15 if shared and c.place == 0 else 0.0)


def _dense(c: Look) -> bool:
    return c.least is not None and c.greatest is not None and c.greatest - c.least + 1 == c.rows


def _why(c: Look) -> str:
    parts = ["the first column"] if c.place == 0 else []
    parts += ["called like a key"] if is_key_like(c.name) else []
    parts += [f"the numbers from {c.least:.0f} on without a gap"] if _dense(c) else []
    return "; " + ", ".join(parts) if parts else ""


def _part(c: Look, linked: set[str]) -> float:
    """How well a column is a part of a key, 0 to 1."""
    if c.name in linked:
        return 1.0
    score = 0.6 if is_key_like(c.name) else 0.0
    score += {Holds.TIME: 0.35, Holds.WHOLE: 0.2, Holds.TEXT: 0.15}.get(c.holds, 0.0)
    return score + max(0.0, 0.2 - 0.04 * c.place)


def _many(columns: Sequence[Look]) -> bool:
    """Whether there are values enough for all rows to differ."""
    product = 1
    for c in columns:
        product *= c.distinct
    return product >= columns[0].rows


def _distinct(raw: RawTable, columns: Sequence[Look]) -> int:
    return int(measure(raw.frame, [F.count_distinct(*map(normal, columns)).alias("n")])["n"])
