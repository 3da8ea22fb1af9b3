"""Rules: a number that is a sum of up to three others with small coefficients (total = a + b, a = 100 * b + c).

Often the parts of a total were not recorded in older rows and are all 0 there: such a sum holds wherever it is not 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np

from spark_synth.encoding.derive_sample import EVIDENCE, MIN_ROWS, Rule, Sample, differs
from spark_synth.schema.check import INTEGERS
from spark_synth.schema.names import quote

_MAX_COLUMNS = 4  # of one identity
_MAX_SUBSETS = 150_000
_MAX_COEFFICIENT = 1000
_SUPPORT = 10  # rows in which each column must differ from its commonest value
_MASKS = 8  # patterns of NULLs that are looked at
_TOLERANCE = 0.001  # rows that may disagree: entry errors in real totals
_SLACK = 0.003  # the same in the sample
_ZEROS = (0.01, 0.95)  # share of zeros of a column whose other rows are looked at by themselves
_HALVES = 600  # rows from which on they are searched in two halves, so that one bad row does not hide what holds


def linear_rules(sample: Sample, taken: set[str]) -> list[Rule]:
    """Identities that hold in the sampled rows; the columns in `taken` are made by other rules already.

    Fewest columns first. A column once explained takes part in no further identity, so what is found is independent.
    """
    names = [c for c, v in sample.numbers.items() if _varies(v)]
    rules: list[Rule] = []
    for rows in _views(sample, names):
        done = {r.column for r in rules}
        present = [
            c for c in names if c not in done and not sample.nulls[c][rows].any() and _varies(sample.numbers[c][rows])
        ]
        rules += _search(sample, present, rows, taken)
    return rules


def _views(sample: Sample, names: list[str]) -> list[np.ndarray]:
    """Row numbers in which columns are present together: patterns of NULLs, two of them, what is not 0."""
    masks = {m.tobytes(): m for m in (~sample.nulls[c] for c in names)}
    chosen = sorted(masks.values(), key=lambda m: -int(m.sum()))[:_MASKS]
    views = {m.tobytes(): m for a in chosen for b in chosen if (m := a & b).sum() >= MIN_ROWS}
    filled = {c: ~np.isnan(sample.numbers[c]) & (sample.numbers[c] != 0) for c in names}
    some = [m for m in filled.values() if _ZEROS[0] <= 1 - m.mean() <= _ZEROS[1]]
    ordered = sorted(views.values(), key=lambda m: -int(m.sum())) + some
    rows = [np.flatnonzero(m) for m in ordered]
    return [part for r in rows for part in ((r[::2], r[1::2]) if len(r) >= _HALVES else (r,))]


def _search(sample: Sample, names: list[str], rows: np.ndarray, taken: set[str]) -> Iterator[Rule]:
    """Identities among columns without NULLs in `rows`.

    The correlations of the columns of an identity form a singular matrix, so only columns in its null space are
    combined: mostly there are none.
    """
    if len(names) < 2 or len(rows) < len(names) + MIN_ROWS:
        return
    x = np.stack([sample.numbers[c][rows] for c in names], axis=1)
    scale = x.std(axis=0)
    z = (x - x.mean(axis=0)) / scale
    correlation = z.T @ z / len(z)
    done: set[int] = set()
    for size in range(2, _MAX_COLUMNS + 1):
        involved = _involved(correlation, [i for i in range(len(names)) if i not in done])
        subsets = np.array(list(combinations(involved, size)), dtype=int)[:_MAX_SUBSETS].reshape(-1, size)
        blocks = correlation[subsets[:, :, None], subsets[:, None, :]]
        for subset in subsets[np.abs(np.linalg.det(blocks)) < 1e-8] if len(subsets) else []:
            if done & set(subset):
                continue
            weights = np.linalg.eigh(correlation[np.ix_(subset, subset)])[1][:, 0]
            if np.abs(weights).min() < 1e-5:
                continue
            columns = [names[i] for i in subset]
            rule = _identity(sample, columns, weights / scale[subset], rows, taken)
            if rule:
                done.add(names.index(rule.column))
                yield rule


def _involved(correlation: np.ndarray, columns: list[int]) -> list[int]:
    """The columns with a part in the null space of their correlations."""
    if not columns:
        return []
    values, vectors = np.linalg.eigh(correlation[np.ix_(columns, columns)])
    weight = np.abs(vectors[:, values < 1e-9]).sum(axis=1)
    return [c for c, w in zip(columns, weight, strict=True) if w > 1e-5]


def _identity(
    sample: Sample, columns: list[str], weights: np.ndarray, rows: np.ndarray, taken: set[str]
) -> Rule | None:
    """The rule of the column with the largest spread that small coefficients make from the others."""
    if min(_support(sample.numbers[c][rows]) for c in columns) < _SUPPORT:
        return None
    spread = {c: float(sample.numbers[c][rows].std()) for c in columns}
    for target in sorted(columns, key=lambda c: -spread[c]):
        if target in taken or target not in sample.targets or sample.evidence(target) < EVIDENCE:
            continue
        at = columns.index(target)
        nice = [_nice(float(-w / weights[at])) for i, w in enumerate(weights) if i != at]
        inputs = [c for c in columns if c != target]
        known = [c for c in nice if c is not None and abs(c) <= _MAX_COEFFICIENT]
        if len(known) == len(inputs) and (rule := _rule(sample, target, dict(zip(inputs, known, strict=True)), rows)):
            return rule
    return None


def _rule(sample: Sample, target: str, terms: dict[str, float], rows: np.ndarray) -> Rule | None:
    """The rule target = sum of terms + constant: derived, or a clip if it holds only where the sum is not 0."""
    own = sample.numbers[target]
    total = np.sum([k * sample.numbers[c] for c, k in terms.items()], axis=0)
    constant = _nice(float(np.median((own - total)[rows])))
    if constant is None:
        return None
    close = np.abs(own - total - constant) <= 1e-6 * np.maximum(1.0, np.abs(own))
    holds = close | (np.isnan(own) & np.isnan(total))
    name, type_ = quote(target), sample.types[target]
    sql = _sql(terms, constant, sample, target)
    breaks = differs(sql, target, type_)
    if np.mean(~holds) <= _SLACK:
        return Rule("derived", target, sql, tuple(terms), breaks, _TOLERANCE)
    recorded = ~np.isnan(total) & (total != 0)
    if constant or recorded.sum() < MIN_ROWS or np.mean(~holds[recorded]) > _SLACK:
        return None
    sql = f"CASE WHEN {sql} <> 0 THEN {sql} ELSE {name} END"
    return Rule("clip", target, sql, tuple(terms), differs(sql, target, type_), _TOLERANCE)


def _sql(terms: dict[str, float], constant: float, sample: Sample, target: str) -> str:
    type_ = sample.types[target]
    integers = all(sample.types[c] in INTEGERS for c in [target, *terms])
    exact = integers and all(k == int(k) for k in [*terms.values(), constant])
    number = "D" if not type_.startswith("decimal") else "BD"
    text = ""
    for c, k in sorted(terms.items(), key=lambda t: -t[1]):  # a positive term first, where there is one
        size = abs(k)
        column = f"CAST({quote(c)} AS BIGINT)" if exact else quote(c)
        factor = "" if size == 1 else f"{int(size)}L * " if size == int(size) else f"{size!r}{number} * "
        text += f"{' - ' if k < 0 else ' + ' if text else ''}{factor}{column}"
    if constant:
        size = abs(constant)
        text += f"{' - ' if constant < 0 else ' + '}{int(size) if size == int(size) else f'{size!r}{number}'}"
    if exact or type_.startswith("decimal"):
        return f"try_cast({text.strip()} AS {type_})"
    if type_ in INTEGERS:
        return f"try_cast(round({text.strip()}) AS {type_})"
    digits = _decimals(sample.numbers[target])
    return text.strip() if digits is None else f"round({text.strip()}, {digits})"


def _nice(value: float) -> float | None:
    """The whole number or decimal of at most two digits that a coefficient stands for, None if it is neither."""
    for scale in (1, 2, 10, 100):
        found = round(value * scale) / scale
        if abs(found - value) <= 1e-6 * max(1.0, abs(value)):
            return found
    return None


def _decimals(values: np.ndarray) -> int | None:
    """Digits after the point that all values keep to, None above 6."""
    present = values[~np.isnan(values)]
    for digits in range(7):
        scaled = present * 10**digits
        if np.all(np.abs(scaled - np.round(scaled)) <= 1e-9 * np.maximum(1.0, np.abs(scaled))):
            return digits
    return None


def _varies(values: np.ndarray) -> bool:
    present = values[~np.isnan(values)]
    return len(present) >= MIN_ROWS and bool(np.isfinite(present).all()) and float(np.ptp(present)) > 0


def _support(values: np.ndarray) -> int:
    return len(values) - int(np.unique(values, return_counts=True)[1].max())
