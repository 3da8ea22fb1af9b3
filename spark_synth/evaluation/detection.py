"""Can a classifier tell synthetic rows from real ones, and by what? (Classifier two-sample test: Lopez-Paz and Oquab,
2017; with aggregates over children: Hudovernik, Jurkovic and Strumbelj, 2024, arXiv 2410.03411.)"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_synth.evaluation.columns import enough, leading, picked, row_hash, values_of
from spark_synth.evaluation.giveaway import feature_plot
from spark_synth.evaluation.joins import FAMILY, GENERATIONS, PLACE, ancestors, with_ancestors
from spark_synth.evaluation.measures import auc_spread
from spark_synth.evaluation.task import in_one_task
from spark_synth.schema.model import ForeignKey, Kind, Schema
from spark_synth.schema.names import quote

LEAST_ROWS = 20  # of either side, below which nothing can be told
FOLDS = 5
COMMONEST = 50  # categories of a column that are told apart
TOLD = 5  # features that are named
_SIDE = "__side"
_NULL, _OTHER, _NEW = "\x1fnull", "\x1fother", "\x1fnew"  # no \0: pandas compares text up to it only
Way = Literal["alone", "children", "ancestors"]
WAYS: tuple[Way, ...] = get_args(Way)


def detect(
    real: Mapping[str, DataFrame],
    synth: Mapping[str, DataFrame],
    schema: Schema,
    table: str,
    counts: Sequence[int],
    rows: int,
    seed: int,
    way: Way = "alone",
    owners: Mapping[str, str | None] | None = None,
) -> dict[str, Any] | None:
    """How well XGBoost tells at most `rows` rows of each side apart, in one Spark task; None where there are too few or
    no columns.

    counts: rows of both sides. `auc` and `accuracy` over held-out folds (0.5: not at all), `low` and `high` the 95 %
    interval of the AUC (Hanley and McNeil, 1982), `rows` and `families` of a side, `told`: what gave rows away, by its
    share in what the AUC loses when one feature of the held-out rows is shuffled (Breiman, 2001), with its `plot` and
    the shares of `nulls` on both sides. way: `alone`, with
    number, means and distinct values of the rows below each row, by all foreign keys that lead here (`children`), or
    with the columns of the rows above it (`ancestors`, by all foreign keys of the schema that is given: see
    joins.along_owners); None where there are none. owners: by table the key under which its rows are owned; rows of one
    family are in one fold.
    """
    if way == "children" and not any(t != table for t, _ in schema.children(table)):
        return None
    shares = [enough(rows, n) for n in counts]
    kinds = _kinds(schema, table, way)
    sides = [_features(*side, schema, table, way, owners or {}) for side in ((real, shares[0]), (synth, shares[1]))]
    names = [c for c in sides[0].columns if c not in (PLACE, FAMILY)]
    if not names or (way == "ancestors" and all(n.startswith(f"{table}.") for n in names)):
        return None
    dates = [n for n in names if kinds.get(n) is Kind.DATETIME]
    numbers = [n for n, kind in sides[0].dtypes if kind == "double" and n not in dates]

    both = sides[0].withColumn(_SIDE, F.lit(0)).union(sides[1].withColumn(_SIDE, F.lit(1)))
    found: dict[str, Any] | None = in_one_task(both, lambda r: _cross_validated(r, numbers, dates, rows, seed))
    return found


def _kinds(schema: Schema, table: str, way: Way) -> dict[str, Kind]:
    """By the names that columns have as features."""
    own = schema.table(table).columns
    if way != "ancestors":
        return {c: v.kind for c, v in own.items()}
    found = {f"{table}.{c}": v.kind for c, v in own.items()}
    for _, fk, up in ancestors(schema, table, GENERATIONS):
        found |= {f"{up}.{c}": v.kind for c, v in schema.table(fk.parent).columns.items()}
    return found


def _features(
    frames: Mapping[str, DataFrame],
    share: float,
    schema: Schema,
    table: str,
    way: Way,
    owners: Mapping[str, str | None],
) -> DataFrame:
    """Of a share of the rows PLACE, which orders them by chance, FAMILY, numbers as doubles and categories as text."""
    spec = schema.table(table)
    frame = frames[table].where(picked(spec, share))
    if way == "ancestors":
        above = with_ancestors(frame, frames, schema, table, owners, GENERATIONS)
        return above.select(PLACE, FAMILY, *[quote(c) for c in above.columns if c not in (PLACE, FAMILY)])
    keys = sorted({p for t, fk in schema.children(table) if t != table for p in fk.parent_columns})
    values = [v.alias(c) for c, v in values_of(frame, spec).items()]
    place = row_hash(spec)
    own = frame.select(
        place.alias(PLACE), place.alias(FAMILY), *values, *[F.col(quote(k)).alias(f"__key:{k}") for k in keys]
    )
    if way == "children":
        for child, fk in schema.children(table):
            if child != table:
                own = _with_children(own, frames[table], frames[child], schema, child, fk)
    return own.select(*[quote(c) for c in own.columns if not c.startswith("__key:")])


def _with_children(
    own: DataFrame, parent: DataFrame, below: DataFrame, schema: Schema, child: str, fk: ForeignKey
) -> DataFrame:
    """Rows with the number of rows below them and, of these, the means of numbers and how many categories there are.
    Means of dates are left out, as where the method was published."""
    name = f"{child}[{'+'.join(fk.columns)}]"
    count = F.count(F.lit(1)).cast("double").alias(f"number of {name}")
    parts = [count]
    for c, value in values_of(below, schema.table(child)).items():
        kind = schema.table(child).columns[c].kind
        if kind is Kind.NUMERIC:
            parts.append(F.avg(value).alias(f"mean of {name}.{c}"))
        elif kind is Kind.CATEGORICAL:
            parts.append(F.count_distinct(value).cast("double").alias(f"distinct {name}.{c}"))
    theirs = [f"__own:{i}" for i in range(len(fk.columns))]
    keys = leading(fk, parent, theirs)
    summed = below.groupBy(*keys).agg(*parts)
    match = [F.col(quote(f"__key:{p}")) == F.col(quote(k)) for p, k in zip(fk.parent_columns, theirs, strict=True)]
    counted = [c for c in summed.columns if c.startswith(("number of ", "distinct "))]
    return own.join(summed, match, "left").drop(*theirs).fillna(0.0, subset=[quote(c) for c in counted])


def _cross_validated(
    rows: pd.DataFrame, numbers: list[str], dates: list[str], most: int, seed: int
) -> dict[str, Any] | None:
    """See `detect`."""
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold
    from xgboost import XGBClassifier

    each = min(most, *rows[_SIDE].value_counts().reindex([0, 1], fill_value=0))
    if each < LEAST_ROWS:
        return None
    rows = rows.sort_values([_SIDE, PLACE], ignore_index=True).groupby(_SIDE).head(each)
    y = rows[_SIDE].to_numpy()
    x, of = _matrix(rows.drop(columns=[_SIDE, PLACE, FAMILY]), numbers, dates, y == 0)
    chances, lost = np.zeros(len(y)), dict.fromkeys(of, 0.0)
    alone = rows[FAMILY].is_unique
    folds = (StratifiedKFold if alone else StratifiedGroupKFold)(FOLDS, shuffle=True, random_state=seed)
    for train, test in folds.split(x, y, rows[FAMILY]):
        model = XGBClassifier(tree_method="hist", n_jobs=1, random_state=seed).fit(x[train], y[train])
        chances[test] = model.predict_proba(x[test])[:, 1]
        whole = roc_auc_score(y[test], chances[test])
        for feature in lost:
            mixed = _mixed(x[test], [i for i, f in enumerate(of) if f == feature], seed)
            lost[feature] += max(0.0, whole - roc_auc_score(y[test], model.predict_proba(mixed)[:, 1]))
    kinds = dict.fromkeys(numbers, "numeric") | dict.fromkeys(dates, "datetime")
    auc, total = float(roc_auc_score(y, chances)), sum(lost.values())
    shares = sorted(((v / total, f) for f, v in lost.items() if v > 0), key=lambda each: (-each[0], each[1]))
    error = 1.96 * auc_spread(auc, each, each)
    return {
        "auc": auc,
        "low": max(0.0, auc - error),
        "high": min(1.0, auc + error),
        "accuracy": float(((chances > 0.5) == y).mean()),
        "rows": int(each),
        "families": int(rows.groupby(_SIDE)[FAMILY].nunique().min()),
        "told": [
            {
                "feature": f,
                "share": float(s),
                "plot": feature_plot(rows[f], y == 0, kinds.get(f, "category")),
                "nulls": [float(rows[f][y == side].isna().mean()) for side in (0, 1)],
            }
            for s, f in shares[:TOLD]
        ],
    }


def _mixed(x: np.ndarray, columns: list[int], seed: int) -> np.ndarray:
    """Rows with these columns those of other rows."""
    out = x.copy()
    out[:, columns] = x[np.random.default_rng(seed).permutation(len(x))][:, columns]
    return out


def _matrix(rows: pd.DataFrame, numbers: list[str], dates: list[str], real: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """float32 (n, D), and which feature each column is of: numbers, parts of dates (seconds since 1970), and a column
    for each category. The mean stands for a missing number, as where the method was published."""
    parts, of = [], []
    for name in rows.columns:
        if name in numbers:
            values = pd.DataFrame({0: rows[name]})
        elif name in dates:
            values = _parts_of(pd.to_datetime(rows[name], unit="s"))
        else:
            text = _commonest(rows[name].fillna(_NULL), real)
            values = pd.DataFrame({c: text == c for c in text.unique()})
        values = values.astype(np.float32)
        parts.append(values.fillna(values.mean()).fillna(0).to_numpy())
        of += [name] * values.shape[1]
    return np.hstack(parts), of


def _commonest(text: pd.Series, real: np.ndarray) -> pd.Series:
    """The COMMONEST categories of both sides; the others are one that real rows have, and one that none has."""
    common = text.isin(text.value_counts().index[:COMMONEST])
    return text.where(common, text.isin(text[real].unique()).map({True: _OTHER, False: _NEW}))


def _parts_of(dates: pd.Series) -> pd.DataFrame:
    """Year, month and day, and of the time of day what is not always 0."""
    parts = {p: getattr(dates.dt, p) for p in ("year", "month", "day", "hour", "minute", "second")}
    return pd.DataFrame({p: v for p, v in parts.items() if p in ("year", "month", "day") or v.fillna(0).any()})
