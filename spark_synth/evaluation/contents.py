"""Inside one table: the shape of every column and the trend of every pair."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from pyspark.sql import Column as SparkColumn
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_synth.evaluation import measures
from spark_synth.evaluation.columns import Role, as_text, picked, role
from spark_synth.evaluation.measures import Floats
from spark_synth.evaluation.profile import Profile, Shares, both, number
from spark_synth.evaluation.tally import Axis, Counts, Plan, count
from spark_synth.schema.model import Kind, Table

PAIR_LEVELS = 10
NAMED = 12  # categories named in a chart
NAMED_ROWS = 5  # and only those that this many real rows share


def axis_value(df: DataFrame, table: Table, axis: Axis) -> SparkColumn:
    """The double of an axis: the number, or the place of a category among the commonest (0: another one)."""
    if axis.number:
        return number(df, table, axis.name)
    text = as_text(axis.name)
    place = F.call_function("array_position", F.lit(list(axis.top)), text) if axis.top else F.lit(0)
    return F.when(text.isNotNull(), place).cast("double")


def paired_columns(table: Table, profile: Profile, limit: int) -> list[str]:
    """Value columns that vary and can be binned, in schema order, at most `limit`."""
    usable = []
    for name in table.value_columns():
        axis = profile.axes.get(name)
        if axis is None or role(table, name) is Role.TEXT:
            continue
        if (len(axis.grid) if axis.number else len(axis.top)) > 1:
            usable.append(name)
    return usable[:limit]


def evaluate_contents(
    real: DataFrame, synth: DataFrame, table: Table, profile: Profile, *, max_pair_columns: int, sample_rows: int
) -> dict[str, Any]:
    """`columns` and `pairs` of one table, from one pass over its rows."""
    paired = paired_columns(table, profile, max_pair_columns)
    names = [n for n, a in profile.axes.items() if a.number or n in paired]
    plan = _plan([profile.axes[n] for n in names], {names.index(n) for n in paired})
    columns: dict[str, tuple[SparkColumn, SparkColumn]] = {}
    shares = [min(1.0, sample_rows / max(1, n)) for n in profile.rows]
    columns["pick"] = (picked(table, shares[0]), picked(table, shares[1]))
    for i, axis in enumerate(plan.axes):
        columns[f"a{i}"] = (axis_value(real, table, axis), axis_value(synth, table, axis))
    counts = count(both(real, synth, columns), plan)
    shown = {n: _column(n, table, profile, counts, names) for n in table.columns}
    return {"columns": shown, "pairs": _pairs(paired, names, counts)}


def _plan(axes: list[Axis], paired: set[int]) -> Plan:
    numbers = tuple(i for i in sorted(paired) if axes[i].number)
    tables = tuple(combinations(sorted(paired), 2))
    return Plan(tuple(axes), PAIR_LEVELS, shapes=True, tables=tables, left=numbers, right=numbers)


def _column(name: str, table: Table, profile: Profile, counts: Counts, names: list[str]) -> dict[str, Any]:
    column, known = table.columns[name], profile.known[name]
    nulls = [1 - k / n if n else 0.0 for k, n in zip(known, profile.rows, strict=True)]
    out: dict[str, Any] = {"kind": str(column.kind), "shape": None, "nulls": nulls, "plot": None}
    what = role(table, name)
    if what is Role.CATEGORY:
        out["shape"] = _complement(profile.shares[name].distance, known)
        out["plot"] = _shares_plot(profile.shares[name], known)
    elif name in profile.axes and len(profile.axes[name].grid):
        cells, bars = counts.part("cells", names.index(name)), counts.part("bars", names.index(name))
        score = _complement(measures.ks(cells[0], cells[1]), known)
        out["shape" if what is Role.NUMBER else "length_shape"] = score
        axis = "length" if what is Role.TEXT else "datetime" if column.kind is Kind.DATETIME else "numeric"
        out["plot"] = bars_plot(*coarse(profile.axes[name].bars, bars), axis) if known[0] >= NAMED_ROWS else None
    return out


def _complement(distance: float | None, known: list[int]) -> float | None:
    """1 - distance; None where there is nothing real to compare with, 0 where nothing was generated."""
    if not known[0]:
        return None
    return 0.0 if distance is None else 1 - distance


def coarse(edges: Floats, bars: Floats) -> tuple[Floats, Floats]:
    """Edges and counts (side, bar) of a histogram in which no bar tells of fewer than NAMED_ROWS real rows: bars are
    joined until they have as many on average, and what each has of real rows is rounded to NAMED_ROWS."""
    n = bars.shape[1]
    join = math.ceil(n / max(1.0, bars[0].sum() // NAMED_ROWS))
    starts = np.arange(0, n, join)
    width = edges[1] - edges[0]
    joined = np.add.reduceat(bars, starts, axis=1)
    joined[0] = in_fives(joined[0])
    return edges[0] + width * join * np.arange(len(starts) + 1), joined


def in_fives(counts: Floats) -> Floats:
    """Counts of real rows as they may be shown: rounded to NAMED_ROWS."""
    return np.asarray(NAMED_ROWS * np.round(counts / NAMED_ROWS), dtype=np.float64)


def bars_plot(edges: Floats, bars: Floats, axis: str) -> dict[str, Any]:
    """A histogram as shares; the outermost bars hold what lies beyond them too."""
    share = [b / max(1.0, b.sum()) for b in bars]
    return {
        "axis": axis,
        "edges": [float(e) for e in edges],
        "real": [round(float(v), 5) for v in share[0]],
        "synth": [round(float(v), 5) for v in share[1]],
    }


def _shares_plot(shares: Shares, known: list[int]) -> dict[str, Any]:
    named = [v for v in shares.values[:NAMED] if v[1] >= NAMED_ROWS]
    used = [sum(r for _, r, _ in named), sum(s for _, _, s in named)]
    rest = [max(0, k - u) for k, u in zip(known, used, strict=True)]
    real = [v[1] for v in named] + [rest[0]]
    synth = [v[2] for v in named] + [rest[1]]
    return categories_plot([v[0] for v in named], real, synth, known)


def categories_plot(
    named: Sequence[str], real: Sequence[float], synth: Sequence[float], known: Sequence[float]
) -> dict[str, Any]:
    """Shares of the categories `named` and, last, of all others; known: the counts that these are shares of."""
    return {
        "axis": "category",
        "labels": [*(v[:60] for v in named), None],  # None: all others
        "real": [round(v / max(1, known[0]), 5) for v in real],
        "synth": [round(v / max(1, known[1]), 5) for v in synth],
    }


def _pairs(paired: list[str], names: list[str], counts: Counts) -> dict[str, Any]:
    axes = counts.plan.axes
    moments = counts.moments() if len(counts.plan.left) > 1 else np.zeros((2, 6, 0, 0))
    correlations = [measures.pearson(*m) for m in moments]
    scores: list[float | None] = []
    sides: list[list[float | None]] = [[], []]
    informed: list[list[float | None]] = [[], []]
    for first, second in combinations([names.index(n) for n in paired], 2):
        i, j = min(first, second), max(first, second)
        if axes[i].number and axes[j].number:
            found = [float(c[counts.plan.left.index(i), counts.plan.left.index(j)]) for c in correlations]
            scores.append(_trend(*found))
            associations = [None if np.isnan(c) else c for c in found]
        else:
            distance = measures.total_variation(*counts.table(i, j))
            scores.append(None if distance is None else 1 - distance)
            associations = [measures.cramers_v(t[:-1, :-1]) for t in counts.table(i, j)]
        information = [measures.mutual_information(t[:-1, :-1]) for t in counts.table(i, j)]
        for into, found_of in ((sides, associations), (informed, information)):
            for side, value in zip(into, found_of, strict=True):
                side.append(None if value is None else round(value, 2))
    return {
        "columns": paired,
        "scores": [None if s is None else round(s, 4) for s in scores],  # in the order of combinations(columns, 2)
        "real": sides[0],  # likewise: correlations of two numbers, Cramer's V of what is cut into PAIR_LEVELS groups
        "synth": sides[1],
        "information": informed,  # likewise, [real, synthetic]: mutual information of groups, 0 to 1
        "information_mad": measures.mean(
            None if r is None else abs(r - (s or 0.0)) for r, s in zip(*informed, strict=True)
        ),
        "kept": measures.kept_share((r, s or 0.0) for r, s in zip(*sides, strict=True) if r is not None),
        "mean": measures.mean(scores),
        "sampled_rows": counts.rows(picked=True),
    }


def _trend(real: float, synth: float) -> float | None:
    """1 - half the difference of two correlations; a constant synthetic column has none (0)."""
    if np.isnan(real):
        return None
    return float(1 - abs(real - (0.0 if np.isnan(synth) else synth)) / 2)


def table_means(columns: Mapping[str, Mapping[str, Any]], pairs: Mapping[str, Any]) -> dict[str, float | None]:
    """Means of one table: of its column shapes, and of its pair trends."""
    return {"shape_mean": measures.mean(c["shape"] for c in columns.values()), "pair_mean": pairs["mean"]}
