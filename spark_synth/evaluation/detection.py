"""Can a classifier tell synthetic rows from real ones, and by what? (Classifier two-sample test: Lopez-Paz and Oquab,
2017; with aggregates over children: Hudovernik, Jurkovic and Strumbelj, 2024, arXiv 2410.03411.)"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_synth.evaluation.columns import Role, as_number, as_text, role
from spark_synth.schema.model import ForeignKey, Schema
from spark_synth.schema.names import quote

LEAST_ROWS = 20  # of either side, below which nothing can be told
FOLDS = 5
COMMONEST = 50  # categories of a column that are told apart
TOLD = 5  # features that are named
MORE = 1.1  # times the rows that are wanted, as hashes pick about as many
_PLACE, _SIDE = "__place", "__side"


def detect(
    real: Mapping[str, DataFrame],
    synth: Mapping[str, DataFrame],
    schema: Schema,
    table: str,
    counts: Sequence[int],
    rows: int,
    seed: int,
    children: bool,
) -> dict[str, Any] | None:
    """How well XGBoost tells at most `rows` rows of each side apart, in one Spark task; None where there are too few or
    no columns.

    counts: rows of both sides. `auc` and `accuracy` over held-out folds (0.5: not at all), `low` and `high` the 95 %
    interval of the AUC (Hanley and McNeil, 1982), `rows` of each side, `told`: what gave the rows away, by its share of
    the gain of all splits. children: with number, means and distinct values of the rows below each row, by all foreign
    keys that lead here; None then, too, where there are none.
    """
    if children and not any(t != table for t, _ in schema.children(table)):
        return None
    sides = [_features(frames, schema, table, children) for frames in (real, synth)]
    if len(sides[0].columns) == 1:
        return None
    shares = [min(1.0, MORE * rows / max(1, n)) for n in counts]
    parts = [_sample(side, share) for side, share in zip(sides, shares, strict=True)]
    names = [c for c in sides[0].columns if c != _PLACE]
    numbers = [n for n, kind in sides[0].dtypes if kind == "double"]

    def told_apart(frames: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        found_rows = pd.concat(list(frames), ignore_index=True)
        found_rows.columns = pd.Index([_PLACE, *names, _SIDE])
        found = _cross_validated(found_rows, numbers, rows, seed)
        yield pd.DataFrame({"found": [json.dumps(found)]})

    plain = [part.toDF(_PLACE, *[f"f{i}" for i in range(len(names))]) for part in parts]  # names may have any letter
    both = plain[0].withColumn(_SIDE, F.lit(0)).union(plain[1].withColumn(_SIDE, F.lit(1))).repartition(1)
    found = both.mapInPandas(told_apart, "found string").collect()
    out: dict[str, Any] | None = json.loads(found[0]["found"]) if found else None
    return out


def _features(frames: Mapping[str, DataFrame], schema: Schema, table: str, children: bool) -> DataFrame:
    """Numbers as doubles, categories as text, and _PLACE, which puts the rows in an order by chance."""
    spec, frame = schema.table(table), frames[table]
    names = spec.primary_key or tuple(spec.columns)
    place = F.xxhash64(*[as_text(n) for n in names]).alias(_PLACE)
    keys = sorted({p for t, fk in schema.children(table) if t != table for p in fk.parent_columns})
    values = [_value(frame, schema, table, c).alias(c) for c in _columns(schema, table)]
    own = frame.select(place, *values, *[F.col(quote(k)).alias(f"__key:{k}") for k in keys])
    if children:
        for child, fk in schema.children(table):
            if child != table:
                own = _with_children(own, frames[child], schema, child, fk)
    return own.select(*[quote(c) for c in own.columns if not c.startswith("__key:")])


def _columns(schema: Schema, table: str) -> list[str]:
    spec = schema.table(table)
    return [c for c in spec.columns if role(spec, c) in (Role.NUMBER, Role.CATEGORY)]


def _value(frame: DataFrame, schema: Schema, table: str, column: str) -> Any:  # noqa: ANN401 - a Spark column
    spec = schema.table(table)
    if role(spec, column) is Role.NUMBER:
        return as_number(frame, column, spec.columns[column].kind)
    return as_text(column)


def _with_children(own: DataFrame, below: DataFrame, schema: Schema, child: str, fk: ForeignKey) -> DataFrame:
    """Rows with the number of rows below them and, of these, the means of numbers and how many categories there are."""
    name = f"{child}[{'+'.join(fk.columns)}]"
    count = F.count(F.lit(1)).cast("double").alias(f"number of {name}")
    parts = [count]
    for c in _columns(schema, child):
        value = _value(below, schema, child, c)
        if role(schema.table(child), c) is Role.NUMBER:
            parts.append(F.avg(value).alias(f"mean of {name}.{c}"))
        else:
            parts.append(F.count_distinct(value).cast("double").alias(f"distinct {name}.{c}"))
    theirs = [f"__own:{i}" for i in range(len(fk.columns))]
    types = [own.schema[f"__key:{p}"].dataType for p in fk.parent_columns]
    keys = [F.col(quote(c)).cast(t).alias(k) for c, t, k in zip(fk.columns, types, theirs, strict=True)]
    summed = below.groupBy(*keys).agg(*parts)
    match = [F.col(quote(f"__key:{p}")) == F.col(quote(k)) for p, k in zip(fk.parent_columns, theirs, strict=True)]
    counted = [c for c in summed.columns if c.startswith(("number of ", "distinct "))]
    return own.join(summed, match, "left").drop(*theirs).fillna(0.0, subset=[quote(c) for c in counted])


def _sample(rows: DataFrame, share: float) -> DataFrame:
    buckets = 1 << 24
    return rows if share == 1 else rows.where(F.pmod(F.col(_PLACE), F.lit(buckets)) < int(share * buckets))


def _cross_validated(rows: pd.DataFrame, numbers: list[str], most: int, seed: int) -> dict[str, Any] | None:
    """See `detect`."""
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold
    from xgboost import XGBClassifier

    each = min(most, *rows[_SIDE].value_counts().reindex([0, 1], fill_value=0))
    if each < LEAST_ROWS:
        return None
    rows = rows.sort_values([_SIDE, _PLACE], ignore_index=True).groupby(_SIDE).head(each)
    y = rows[_SIDE].to_numpy()
    x, of = _matrix(rows.drop(columns=[_SIDE, _PLACE]), numbers, y == 0)
    chances, gains = np.zeros(len(y)), np.zeros(x.shape[1])
    for train, test in StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(x, y):
        model = XGBClassifier(tree_method="hist", importance_type="total_gain", n_jobs=1, random_state=seed)
        model.fit(x[train], y[train])
        chances[test] = model.predict_proba(x[test])[:, 1]
        gains += model.feature_importances_
    auc, shares = float(roc_auc_score(y, chances)), pd.Series(gains, of).groupby(level=0).sum()
    shares = (shares / max(float(shares.sum()), 1e-12)).sort_values(ascending=False)
    error = 1.96 * _spread(auc, each, each)
    return {
        "auc": auc,
        "low": max(0.0, auc - error),
        "high": min(1.0, auc + error),
        "accuracy": float(((chances > 0.5) == y).mean()),
        "rows": int(each),
        "told": [{"feature": str(f), "share": float(s)} for f, s in shares.head(TOLD).items() if s > 0],
    }


def _matrix(rows: pd.DataFrame, numbers: list[str], real: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """float32 (n, D), NaN for NULL: numbers, and a column for each common category; and which feature each is of.
    Categories that no real row has count as one, whatever they are."""
    parts, of = [], []
    for name in rows.columns:
        if name in numbers:
            parts.append(rows[name].to_numpy(dtype=np.float32)[:, None])
            of.append(name)
            continue
        text = rows[name].fillna("\0null")
        text = text.where(text.isin(text[real].unique()), "\0new")
        commonest = text.value_counts().index[:COMMONEST]
        parts.append(np.stack([(text == c).to_numpy(dtype=np.float32) for c in commonest], 1))
        of += [name] * len(commonest)
    return np.hstack(parts), of


def _spread(auc: float, positive: int, negative: int) -> float:
    """The standard error of an AUC."""
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    rest = (positive - 1) * (q1 - auc**2) + (negative - 1) * (q2 - auc**2)
    return float(np.sqrt(max(0.0, auc * (1 - auc) + rest) / (positive * negative)))
