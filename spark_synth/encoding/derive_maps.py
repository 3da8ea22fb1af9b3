"""Rules: a column that one or two others determine, kept as a small map (distance of origin and destination)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_synth.encoding.derive_sample import EVIDENCE, SAMPLE_ROWS, Rule, Sample, literal, surprise
from spark_synth.schema.model import Kind
from spark_synth.schema.names import quote

MAX_KEYS = 1000  # entries of a map
GROUP_ROWS = 10  # rows per entry, on average
_MAX_CATEGORIES = 200  # of a determining column: more are not all generated
_MAX_NUMBERS = 60  # of a determining number: more are not generated exactly
_PER_COLUMN = 2  # determinations checked per column
_MAX_CHECKED = 16
_COVERED = 0.9  # share of rows whose keys are in the map
_BROKEN = 0.01  # share of rows whose keys have several values: these keys are left out of the map
_SEPARATOR = "\x1f"
_NULL = "\x00"  # key part of a NULL


@dataclass(frozen=True)
class Determination:
    """`column` has one value for each combination of `keys`, in the sample."""

    keys: tuple[str, ...]
    column: str
    grid: bool  # every combination of the parts occurs

    @property
    def sql(self) -> str:
        """SQL text of the combination of keys of a row."""
        parts = ", ".join(f"coalesce(CAST({quote(k)} AS STRING), {literal(_NULL)})" for k in self.keys)
        return f"concat_ws({literal(_SEPARATOR)}, {parts})"


@dataclass
class _Group:
    """Rows of one combination of keys: value None where they have none, or not one."""

    key: str
    rows: int
    value: str | None
    broken: bool

    @property
    def partial(self) -> bool:
        """Whether a part of the key is NULL."""
        return _NULL in self.key.split(_SEPARATOR)


def determinations(sample: Sample, taken: set[str]) -> list[Determination]:
    """What the sample supports for columns not in `taken`: few keys first, the most compact map first."""
    most = sample.rows / GROUP_ROWS if sample.rows < SAMPLE_ROWS else min(MAX_KEYS, sample.rows / 3)
    sources = [c for c in sample.modelled + sample.kept_keys if _may_determine(sample, c, most)]
    made = [c for c in sample.targets if c not in taken and sample.kinds[c] in _MADE and _storable(sample, c)]
    made = [c for c in made if sample.evidence(c) >= EVIDENCE]
    if not made:
        return []
    values = np.stack([sample.labels[c] for c in made])
    nats = np.stack([surprise(sample.labels[c]) for c in made])
    found: list[tuple[int, int, int, Determination]] = []
    single: dict[str, set[str]] = {}
    for keys in [*((c,) for c in sources), *combinations(sources, 2)]:
        whole = np.flatnonzero(~np.any([sample.nulls[k] for k in keys], axis=0))  # NULL keys need not determine
        codes = _codes(sample, keys)
        _, at, group = np.unique(codes[whole], return_index=True, return_inverse=True)
        if not 2 <= len(at) <= most:
            continue
        first = whole[at]
        constant = np.mean(values[:, whole] != values[:, first[group]], axis=1) <= _BROKEN
        evidence = nats[:, whole].sum(axis=1) - nats[:, first].sum(axis=1)
        known = set().union(*(single.get(k, set()) for k in keys)) | set(keys)
        for i in np.flatnonzero(constant & (evidence >= EVIDENCE)):
            column = made[i]
            if column in known or len(np.unique(values[i, whole])) > len(first):
                continue
            single.setdefault(keys[0], set()).add(column) if len(keys) == 1 else None
            grid = len(np.unique(codes)) == np.prod([sample.distinct(k) for k in keys])
            # of two columns that determine each other the later one is made
            found.append((len(keys), len(first), -i, Determination(keys, column, grid)))
    return list(_bounded(d for *_, d in sorted(found, key=lambda f: f[:3])))


def map_rules(df: DataFrame, sample: Sample, found: list[Determination], rows: int, group_rows: int) -> Iterator[Rule]:
    """The rules of determinations that hold in all rows, from one aggregation.

    A column is derived where every group has `group_rows` rows and a generated row cannot have keys without a group;
    otherwise it is modelled, and the map overrides it for the keys that it knows.
    """
    if not found:
        return
    cells = [
        F.struct(F.lit(i).alias("i"), F.expr(d.sql).alias("k"), F.col(quote(d.column)).cast("string").alias("v"))
        for i, d in enumerate(found)
    ]
    counted = df.select(F.explode(F.array(*cells)).alias("c")).groupBy("c.i", "c.k")
    v = F.col("c.v")
    totals = counted.agg(F.count(F.lit(1)).alias("n"), F.count(v).alias("m"), F.min(v).alias("a"), F.max(v).alias("b"))
    groups: dict[int, list[_Group]] = {i: [] for i in range(len(found))}
    for r in totals.collect():
        broken = r["a"] != r["b"] or r["m"] not in (0, r["n"])
        groups[r["i"]].append(_Group(r["k"], r["n"], None if broken else r["a"], broken))
    for i, d in enumerate(found):
        rule = _rule(d, sample, sorted(groups[i], key=lambda g: g.key), rows, group_rows)
        if rule:
            yield rule


def _rule(d: Determination, sample: Sample, groups: list[_Group], rows: int, group_rows: int) -> Rule | None:
    broken = sum(g.rows for g in groups if g.broken and not g.partial)
    if broken > _BROKEN * rows or len(groups) > min(MAX_KEYS, rows / GROUP_ROWS):
        return None
    kept = [g for g in groups if not g.broken and g.rows >= group_rows]
    if sum(g.rows for g in kept) < _COVERED * rows or len({g.value for g in kept}) < 2:
        return None
    shown = [g for g in kept if g.value is not None]
    pairs = ", ".join(f"{literal(g.key)}, {literal(g.value or '')}" for g in shown)
    value = f"CAST(try_element_at(map({pairs}), {d.sql}) AS {sample.types[d.column]})"
    dates = any(sample.kinds[k] is Kind.DATETIME for k in d.keys)  # generated dates need not occur in the map
    if len(kept) == len(groups) and d.grid and not dates:
        return Rule("derived", d.column, value, d.keys, "")
    if len(shown) < len(kept):
        return None  # a key whose value is NULL cannot be told from an unknown one
    return Rule("clip", d.column, f"coalesce({value}, {quote(d.column)})", d.keys, "")


_MADE = (Kind.NUMERIC, Kind.CATEGORICAL, Kind.BOOLEAN, Kind.DATETIME)


def _storable(sample: Sample, column: str) -> bool:
    return sample.kinds[column] is not Kind.DATETIME or sample.types[column] == "date"


def _may_determine(sample: Sample, column: str, most: float) -> bool:
    distinct = sample.distinct(column)
    if not 2 <= distinct <= most:
        return False
    if column in sample.kept_keys or sample.kinds[column] is Kind.BOOLEAN:
        return True
    if sample.kinds[column] is Kind.CATEGORICAL:
        return distinct <= _MAX_CATEGORIES
    if sample.kinds[column] is Kind.DATETIME:
        return sample.types[column] == "date"
    return sample.whole(column) and distinct <= _MAX_NUMBERS


def _codes(sample: Sample, keys: tuple[str, ...]) -> np.ndarray:
    codes = np.zeros(sample.rows, dtype=np.int64)
    for k in keys:
        codes = codes * sample.distinct(k) + sample.labels[k]
    return codes


def _bounded(found: Iterator[Determination]) -> Iterator[Determination]:
    seen: dict[str, int] = {}
    for d in found:
        seen[d.column] = seen.get(d.column, 0) + 1
        if seen[d.column] <= _PER_COLUMN and sum(min(n, _PER_COLUMN) for n in seen.values()) <= _MAX_CHECKED:
            yield d
