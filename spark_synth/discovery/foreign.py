"""Foreign keys: columns whose values are all, or nearly all, among those of another table's key.

Small whole numbers are among any run of numbers, so being among them is needed and not enough: names, how many of the
parent's values occur and what the values are decide (Rostin et al., A machine learning approach to foreign key
discovery, 2009, whose features these are).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_synth.discovery.names import core, is_key_like, likeness
from spark_synth.discovery.primary import FoundKey
from spark_synth.discovery.profile import Holds, Look, normal
from spark_synth.discovery.sketch import Sketch, among
from spark_synth.sources.files import RawTable
from spark_synth.sources.spark_util import measure, run_parallel

LEAST = 0.45  # score of a foreign key that is proposed
NEARLY = 0.9  # share of rows with a value that must lead to a row
NAMED = 0.9  # likeness from which a name alone counts
SOME_VALUES = 5  # distinct texts that are not among others by chance


@dataclass(frozen=True)
class FoundLink:
    """A foreign key, how sure that is (0 to 1), and why, in words."""

    table: str
    columns: tuple[str, ...]
    parent: str
    parent_columns: tuple[str, ...]
    confidence: float
    evidence: str


@dataclass(frozen=True)
class _Candidate:
    child: Look
    parent: Look
    score: float


def foreign_keys(
    spark: SparkSession,
    raws: Mapping[str, RawTable],
    looks: Mapping[str, Sequence[Look]],
    keys: Mapping[str, FoundKey],
    sketches: Mapping[tuple[str, str], Sketch],
) -> list[FoundLink]:
    """Of every column the key of one column that it leads to, if there is one. keys: primary keys of one column."""
    parents = [c for t, key in keys.items() for c in looks[t] if (c.name,) == key.columns]
    best = []
    for table in looks.values():
        for child in table:
            each = [c for p in parents if (c := _candidate(child, p, keys, sketches))]
            best += sorted(each, key=lambda c: (-c.score, c.parent.table))[:1]
    best = _one_way([c for c in best if c.score >= LEAST])
    counted = run_parallel(spark, lambda c: _orphans(raws, c.child, c.parent), best)
    pairs = zip(best, counted, strict=True)
    return [_link(c, n) for c, n in pairs if n <= (1 - NEARLY) * c.child.known]


def composite_foreign_keys(
    spark: SparkSession,
    raws: Mapping[str, RawTable],
    looks: Mapping[str, Sequence[Look]],
    keys: Mapping[str, FoundKey],
) -> list[FoundLink]:
    """Keys of several columns that another table has under the same names. keys: of all tables."""
    candidates = []
    for parent, key in keys.items():
        theirs = [c for name in key.columns for c in looks[parent] if c.name == name]
        for child, columns in looks.items():
            named = {c.name.lower(): c for c in columns}
            pairs = [(own, c) for c in theirs if (own := named.get(c.name.lower())) and own.holds is c.holds]
            if len(key.columns) < 2 or child == parent or len(pairs) < len(key.columns):
                continue
            same = child in keys and set(keys[child].columns) == {c.name for c, _ in pairs}
            if not (same and columns[0].rows >= theirs[0].rows):
                candidates.append((child, parent, pairs))
    counted = run_parallel(spark, lambda c: _orphans_of(raws[c[0]].frame, raws[c[1]].frame, c[2]), candidates)
    found = []
    for (child, parent, pairs), orphans in zip(candidates, counted, strict=True):
        if not orphans:
            ours, others = tuple(a.name for a, _ in pairs), tuple(b.name for _, b in pairs)
            why = f"all its rows lead to a row of {parent} by columns of the same names"
            found.append(FoundLink(child, ours, parent, others, 0.8, why))
    return found


def _candidate(
    child: Look,
    parent: Look,
    keys: Mapping[str, FoundKey],
    sketches: Mapping[tuple[str, str], Sketch],
) -> _Candidate | None:
    same = child.table == parent.table
    if (same and child.name == parent.name) or child.holds in (Holds.TIME, Holds.NUMBER, Holds.FLAG, Holds.OTHER):
        return None
    named = likeness(child.name, parent.table, parent.name, same)
    if not child.known:
        return _Candidate(child, parent, 0.5) if named >= NAMED else None
    if child.holds is not parent.holds or child.distinct > 1.1 * parent.distinct:
        return None
    is_key = child.table in keys and keys[child.table].columns == (child.name,)
    if is_key and (named < NAMED or not core(child.name)):
        return None
    ends = [sketches.get((c.table, c.name)) for c in (child, parent)]
    if ends[0] is None or ends[1] is None:  # too long for a key
        return None
    share = among(ends[0], ends[1])
    if share is not None and share < NEARLY - (0.2 if named >= NAMED else 0.05):
        return None
    covered = child.distinct / max(1, parent.distinct)
    fits = covered if child.holds is Holds.WHOLE else float(child.distinct >= SOME_VALUES or named > 0)
    score = 0.55 * named + 0.25 * min(1.0, fits) + (0.2 if is_key_like(child.name) else 0.0)
    return _Candidate(child, parent, score * (share if share is not None else 1.0))


def _one_way(found: list[_Candidate]) -> list[_Candidate]:
    """Of two keys that lead to each other, that from the table with fewer rows, or the longer name: an extension."""
    taken = {(c.child.table, c.child.name): c for c in found}
    kept = []
    for c in found:
        back = taken.get((c.parent.table, c.parent.name))
        if back and (back.parent.table, back.parent.name) == (c.child.table, c.child.name):
            size = (c.child.rows, -likeness(c.parent.name, c.parent.table, c.parent.name), -len(c.child.table))
            other = (c.parent.rows, -likeness(c.child.name, c.child.table, c.child.name), -len(c.parent.table))
            if size > other:
                continue
        kept.append(c)
    return kept


def _orphans(raws: Mapping[str, RawTable], child: Look, parent: Look) -> int:
    return _orphans_of(raws[child.table].frame, raws[parent.table].frame, [(child, parent)]) if child.known else 0


def _orphans_of(child: DataFrame, parent: DataFrame, pairs: Sequence[tuple[Look, Look]]) -> int:
    """Rows of the child with values in all these columns that no row of the parent has."""
    names = [f"k{i}" for i in range(len(pairs))]
    own = child.select(*[normal(a).alias(n) for n, (a, _) in zip(names, pairs, strict=True)]).dropna()
    theirs = parent.select(*[normal(b).alias(n) for n, (_, b) in zip(names, pairs, strict=True)]).distinct()
    counted = own.groupBy(*names).count().join(theirs, names, "left_anti")
    return int(measure(counted, [F.coalesce(F.sum("count"), F.lit(0)).alias("n")])["n"])


def _link(c: _Candidate, orphans: int) -> FoundLink:
    child, parent = c.child, c.parent
    to = f"{parent.table}.{parent.name}"
    if not child.known:
        why = f"no values; called like {to}"
    else:
        lost = f"all {child.known:,}" if not orphans else f"{child.known - orphans:,} of {child.known:,}"
        named = likeness(child.name, parent.table, parent.name, child.table == parent.table)
        called = "; called like it" if named >= NAMED else "; a name that may mean it" if named else ""
        why = f"{lost} values are in {to}, {child.distinct:,} of whose {parent.distinct:,} occur{called}"
    sure = min(1.0, c.score) * (1 - orphans / max(1, child.known))
    return FoundLink(child.table, (child.name,), parent.table, (parent.name,), sure, why)
