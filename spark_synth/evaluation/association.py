"""Between parent and child: how strongly the columns of a parent row go with those of its children."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_synth.evaluation import measures
from spark_synth.evaluation.columns import picked
from spark_synth.evaluation.contents import axis_value, paired_columns
from spark_synth.evaluation.profile import TOP, Profile
from spark_synth.evaluation.tally import Axis, Counts, Plan, count
from spark_synth.schema.model import ForeignKey, Table
from spark_synth.schema.names import quote

STRONG = 0.1  # real associations above it are expected to survive
WORST = 5


def evaluate_association(
    child: tuple[DataFrame, DataFrame],
    parent: tuple[DataFrame, DataFrame],
    tables: tuple[Table, Table],
    profiles: tuple[Profile, Profile],
    fk: ForeignKey,
    *,
    max_pair_columns: int,
    sample_rows: int,
) -> dict[str, Any] | None:
    """Associations of (parent column, child column), real and synthetic, over child rows joined with their parent, in
    one Spark job. `tables` and `profiles` are those of child and parent. None where there is no pair to look at."""
    right = [profiles[0].axes[n] for n in paired_columns(tables[0], profiles[0], max_pair_columns)]
    left = [profiles[1].axes[n] for n in paired_columns(tables[1], profiles[1], max_pair_columns)]
    if not left or not right:
        return None
    plan = _plan(left, right)
    rows = None
    for i in (0, 1):
        share = min(1.0, sample_rows / max(1, profiles[0].rows[i]))
        side = _joined(child[i], parent[i], tables, fk, left, right, share, i)
        rows = side if rows is None else rows.unionByName(side)
    assert rows is not None
    counts = count(rows, plan)
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


def _joined(
    child: DataFrame,
    parent: DataFrame,
    tables: tuple[Table, Table],
    fk: ForeignKey,
    left: list[Axis],
    right: list[Axis],
    share: float,
    side: int,
) -> DataFrame:
    keys = [f"k{i}" for i in range(len(fk.columns))]
    types = [parent.schema[c].dataType for c in fk.parent_columns]
    own = [F.col(quote(c)).cast(t).alias(k) for c, t, k in zip(fk.columns, types, keys, strict=True)]
    theirs = [F.col(quote(c)).alias(k) for c, k in zip(fk.parent_columns, keys, strict=True)]
    below = child.where(picked(tables[0], share)).select(
        *own, *[axis_value(child, tables[0], a).alias(f"a{len(left) + i}") for i, a in enumerate(right)]
    )
    above = parent.select(*theirs, *[axis_value(parent, tables[1], a).alias(f"a{i}") for i, a in enumerate(left)])
    axes = [f"a{i}" for i in range(len(left) + len(right))]
    return below.join(above, keys).select(F.lit(side).alias("side"), F.lit(True).alias("pick"), *axes)


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
    strong = [(r, s) for _, _, r, s in pairs if r > STRONG]
    total = sum(r for r, _ in strong)
    worst = sorted(pairs, key=lambda p: (-abs(p[2] - p[3]), p[0], p[1]))[:WORST]
    return {
        "pairs": len(pairs),
        "strong": len(strong),
        "kept": sum(s for _, s in strong) / total if total else None,
        # like `kept`, but an association that came out too strong counts against it as well
        "score": sum(max(0.0, r - abs(r - s)) for r, s in strong) / total if total else None,
        "mad": measures.mean(abs(r - s) for _, _, r, s in pairs),
        "worst": [{"parent": a, "child": b, "real": r, "synth": s} for a, b, r, s in worst],
        "sampled_rows": counts.rows(picked=True),
    }
