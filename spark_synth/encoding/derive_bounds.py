"""Rules: a number that never exceeds another (made <= attempted), and one that is 0 wherever another is."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from spark_synth.encoding.derive_sample import MIN_ROWS, Sample
from spark_synth.schema.model import Kind
from spark_synth.schema.names import quote

MAX_BOUNDS = 40
_PER_COLUMN = 3  # upper bounds of one column
_TIGHT = 0.01  # share of rows in which a bound is reached
_EFFECT = 0.01  # share of rows that independent columns would get wrong
_ZEROS = 0.01  # share of rows in which the condition is 0
_ELSEWHERE = 0.5  # share of zeros where the condition is not 0, at most
_RECORDED = 0.8  # share of rows with a bound other than 0, where smaller numbers without one are common
_SUPPORT = 10  # rows in which neither is 0
_PROPOSED = 100  # of each kind
TOLERANCE = 0.0001  # rows that may exceed a bound: entry errors; a rare event is commoner
_SLACK = 0.001  # the same in the sample


@dataclass(frozen=True)
class Bound:
    """`column` <= `other` (wherever that is not 0, if it must be so), or (zero) `column` = 0 wherever `other` is.

    weight: how telling it is.
    """

    column: str
    other: str
    zero: bool
    weight: float
    sql: str  # the condition of a violation
    value: str  # what the column becomes there


def bounds(sample: Sample, taken: Collection[str]) -> list[Bound]:
    """What holds in every sampled row among columns not in `taken`, the most telling first."""
    names = [c for c in sample.numbers if c not in taken and np.isfinite(sample.numbers[c]).any()]
    targets = [c for c in names if c in sample.targets and sample.distinct(c) > 2]
    upper = [b for c in targets for o in names if c != o and (b := _upper(sample, c, o))]
    zeros = _zero_views(sample, taken)
    zero = [b for c in targets for o in zeros if c != o and (b := _zero(sample, c, o, zeros[o]))]
    upper = sorted(upper, key=lambda b: -b.weight)[:_PROPOSED]
    return upper + sorted(zero, key=lambda b: -b.weight)[:_PROPOSED]


def clip_rules(
    sample: Sample, held: list[Bound], derived: Collection[str], clips: Mapping[str, Iterable[str]]
) -> list[dict[str, object]]:
    """One rule per column from the bounds that hold in all rows, beside `derived` columns and `clips` (with inputs).

    Bounds that follow from two others are left out, and so is what would bound a column by itself in a circle.
    """
    free = [b for b in held if b.column not in clips and not {b.column, b.other} & set(derived)]
    upper = {(b.column, b.other) for b in free if not b.zero}
    middle = {c for c, _ in upper}
    kept: list[Bound] = []
    for b in free:
        if not b.zero and any((b.column, m) in upper and (m, b.other) in upper for m in middle):
            continue
        if sum(k.column == b.column and k.zero == b.zero for k in kept) >= (1 if b.zero else _PER_COLUMN):
            continue
        edges = [(c, i) for c, inputs in clips.items() for i in inputs] + [(k.column, k.other) for k in kept]
        if len(kept) >= MAX_BOUNDS or _reaches(edges, b.other, b.column):
            continue
        limits = [(k.column, k.other) for k in kept if not k.zero]
        if b.zero and not np.any(sample.numbers[b.column] < 0) and _reaches(limits, b.column, b.other):
            continue
        kept.append(b)
    return [_rule(c, [b for b in kept if b.column == c]) for c in dict.fromkeys(b.column for b in kept)]


def _rule(column: str, found: list[Bound]) -> dict[str, object]:
    name = quote(column)
    cases = "".join(f" WHEN {b.sql} THEN {b.value}" for b in found if b.zero)
    upper = [b for b in found if not b.zero]
    if upper:
        lowest = upper[0].value if len(upper) == 1 else f"least({', '.join(b.value for b in upper)})"
        cases += f" WHEN {name} > {lowest} THEN {lowest}"
    return {
        "kind": "clip",
        "column": column,
        "sql": f"CASE{cases} ELSE {name} END",
        "inputs": list(dict.fromkeys(b.other for b in found)),
    }


def _upper(sample: Sample, column: str, other: str) -> Bound | None:
    a, b = sample.numbers[column], sample.numbers[other]
    both = ~np.isnan(a) & ~np.isnan(b)
    a, b = a[both], b[both]
    recorded = b != 0
    over = a > b
    filled = b > 0
    if filled.sum() < MIN_ROWS or np.mean(over & recorded) > _SLACK:
        return None
    value = quote(other)
    if np.mean(over & ~recorded) > _SLACK:  # 0 may mean that the larger number was not recorded
        if np.mean(a[~recorded] == 0) < _ELSEWHERE and recorded.mean() < _RECORDED:
            return None
        value = f"nullif({value}, 0)"
        a, b, filled = a[recorded], b[recorded], filled[recorded]
    tight = float(np.mean(a[filled] >= 0.99 * b[filled]))
    smaller = np.searchsorted(np.sort(b), a, side="left") / len(b)  # share of the others below each value
    if tight < _TIGHT or float(smaller.mean()) < _EFFECT:
        return None
    return Bound(column, other, False, tight, f"{quote(column)} > {value}", value)


def _zero(sample: Sample, column: str, other: str, condition: np.ndarray) -> Bound | None:
    a = sample.numbers[column]
    known = ~np.isnan(a)
    inside, outside = known & (condition == 0), known & ~(condition == 0)
    if inside.sum() < max(20, _ZEROS * known.sum()) or np.mean(a[inside] != 0) > _SLACK or not outside.any():
        return None
    elsewhere = float(np.mean(a[outside] == 0))
    if elsewhere > _ELSEWHERE or np.sum(a[outside] != 0) < _SUPPORT:
        return None
    sql = f"{_is_zero(sample, other)} AND {quote(column)} <> 0"
    return Bound(column, other, True, 1 - elsewhere, sql, "0")


def _zero_views(sample: Sample, taken: Collection[str]) -> dict[str, np.ndarray]:
    """Columns that may be a condition: numbers, flags stored as categories of whole numbers, booleans."""
    views = dict(sample.numbers)
    views |= {c: v for c, v in sample.digits.items() if set(np.unique(v[~np.isnan(v)])) == {0.0, 1.0}}
    views |= sample.flags
    return {c: v for c, v in views.items() if c not in taken and np.mean(v == 0) >= _ZEROS}


def _is_zero(sample: Sample, column: str) -> str:
    if sample.kinds[column] is Kind.BOOLEAN:
        return f"NOT {quote(column)}"
    return f"{quote(column)} = {repr('0') if sample.types[column] == 'string' else '0'}"


def _reaches(edges: list[tuple[str, str]], start: str, end: str) -> bool:
    """Whether a chain of edges leads from `start` to `end`."""
    seen, open_ = {start}, [start]
    while open_:
        current = open_.pop()
        following = sorted({b for a, b in edges if a == current} - seen)
        seen |= set(following)
        open_ += following
    return end in seen
