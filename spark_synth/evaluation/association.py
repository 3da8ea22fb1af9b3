"""Between a row and those above it: how strongly the columns of a parent, or of one further up, go with its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise, product
from typing import Any

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_synth.evaluation import measures
from spark_synth.evaluation.columns import leading, led_to, picked
from spark_synth.evaluation.contents import axis_value, paired_columns
from spark_synth.evaluation.profile import TOP, Profile
from spark_synth.evaluation.tally import Axis, Counts, Plan, count
from spark_synth.schema.model import ForeignKey, Schema

WORST = 5


def evaluate_association(
    real: Mapping[str, DataFrame],
    synth: Mapping[str, DataFrame],
    schema: Schema,
    table: str,
    keys: Sequence[ForeignKey],
    profiles: Mapping[str, Profile],
    *,
    max_pair_columns: int,
    sample_rows: int,
) -> dict[str, Any] | None:
    """Associations of (column above, own column), real and synthetic, over rows joined with the one that `keys` lead
    to, one after the other, in one Spark job. None where there is no pair to look at."""
    above = keys[-1].parent
    right = [profiles[table].axes[n] for n in paired_columns(schema.table(table), profiles[table], max_pair_columns)]
    left = [profiles[above].axes[n] for n in paired_columns(schema.table(above), profiles[above], max_pair_columns)]
    if not left or not right:
        return None
    plan = _plan(left, right)
    sides = []
    for i, frames in enumerate((real, synth)):
        share = min(1.0, sample_rows / max(1, profiles[table].rows[i]))
        own = frames[table].where(picked(schema.table(table), share))
        names = [f"k{i}" for i in range(len(keys[0].columns))]
        values = [axis_value(own, schema.table(table), a).alias(f"a{len(left) + i}") for i, a in enumerate(right)]
        below = own.select(*leading(keys[0], frames[keys[0].parent], names), *values)
        rows = below.join(_above(frames, schema, keys, left), names)
        axes = [f"a{j}" for j in range(len(plan.axes))]
        sides.append(rows.select(F.lit(i).alias("side"), F.lit(True).alias("pick"), *axes))
    counts = count(sides[0].unionByName(sides[1]), plan)
    pairs = _pairs(counts, len(left))
    return _figures(pairs, counts)


def _plan(left: list[Axis], right: list[Axis]) -> Plan:
    axes = tuple(left + right)
    firsts, seconds = range(len(left)), range(len(left), len(axes))
    cross = list(product(firsts, seconds))
    groups = [(i, j) if axes[j].number else (j, i) for i, j in cross if axes[i].number != axes[j].number]
    return Plan(
        axes,
        levels=TOP + 1,
        tables=tuple((i, j) for i, j in cross if not axes[i].number and not axes[j].number),
        groups=tuple(groups),
        left=tuple(i for i in firsts if axes[i].number),
        right=tuple(j for j in seconds if axes[j].number),
    )


def _above(frames: Mapping[str, DataFrame], schema: Schema, keys: Sequence[ForeignKey], left: list[Axis]) -> DataFrame:
    """The rows that the first key leads to: their key as k0, k1, ..., and as a0, a1, ... the axes of the row that the
    further keys lead to from there."""
    top, spec = frames[keys[-1].parent], schema.table(keys[-1].parent)
    made = top.select(
        *led_to(keys[-1], [f"k{i}" for i in range(len(keys[-1].columns))]),
        *[axis_value(top, spec, a).alias(f"a{i}") for i, a in enumerate(left)],
    )
    for fk, below in pairwise(reversed(keys)):
        own, theirs = [f"k{i}" for i in range(len(fk.columns))], [f"n{i}" for i in range(len(below.columns))]
        middle = frames[below.parent].select(*leading(fk, frames[fk.parent], own), *led_to(below, theirs))
        axes = [f"a{i}" for i in range(len(left))]
        made = middle.join(made, own).select(*[F.col(n).alias(f"k{i}") for i, n in enumerate(theirs)], *axes)
    return made


def _pairs(counts: Counts, split: int) -> list[tuple[str, str, float, float]]:
    """(parent column, child column, real, synthetic) where the real association is defined."""
    plan = counts.plan
    correlations = [np.abs(measures.pearson(*m)) for m in counts.moments()]
    out = []
    for i, j in product(range(split), range(split, len(plan.axes))):
        if plan.axes[i].number and plan.axes[j].number:
            a, b = plan.left.index(i), plan.right.index(j)
            found = [_enough(c[a, b], m[0, a, b]) for c, m in zip(correlations, counts.moments(), strict=True)]
        elif not plan.axes[i].number and not plan.axes[j].number:
            found = [measures.cramers_v(t[:-1, :-1]) for t in counts.table(i, j)]
        else:
            pair = (i, j) if plan.axes[j].number else (j, i)
            found = [measures.correlation_ratio(*g) for g in counts.group(*pair)]
        if found[0] is not None:
            out.append((plan.axes[i].name, plan.axes[j].name, found[0], found[1] or 0.0))
    return out


def _enough(correlation: float, rows: float) -> float | None:
    return None if np.isnan(correlation) or rows < measures.MIN_ROWS else float(correlation)


def _figures(pairs: list[tuple[str, str, float, float]], counts: Counts) -> dict[str, Any]:
    strong = [(r, s) for _, _, r, s in pairs if r > measures.STRONG]
    total = sum(r for r, _ in strong)
    worst = sorted(pairs, key=lambda p: (-abs(p[2] - p[3]), p[0], p[1]))[:WORST]
    return {
        "pairs": len(pairs),
        "strong": len(strong),
        "kept": sum(s for _, s in strong) / total if total else None,
        # like `kept`, but an association that came out too strong counts against it as well
        "score": measures.kept_share(strong),
        "real": measures.mean(r for r, _ in strong),
        "synth": measures.mean(s for _, s in strong),
        "mad": measures.mean(abs(r - s) for _, _, r, s in pairs),
        "worst": [{"parent": a, "child": b, "real": r, "synth": s} for a, b, r, s in worst],
        "sampled_rows": counts.rows(picked=True),
    }
