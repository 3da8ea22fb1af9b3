"""Whether a model learnt from synthetic rows does as well on real ones as one learnt from real rows, and whether
synthetic rows are nearer to real ones than these are to each other.

Model compatibility and the privacy score P of Mami et al. (2022, arXiv 2211.16889, section 4 and equation 9). Joins run
in Spark; what a method holds in memory is a sample of the joined rows, of a size that is told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from pyspark.sql import Column as SparkColumn
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from sklearn.metrics import f1_score, roc_auc_score
from sklearn.neighbors import NearestNeighbors

from spark_synth.evaluation.columns import Role, as_text, role, values_of
from spark_synth.schema.model import ForeignKey, Schema
from spark_synth.schema.names import quote

SAMPLE_ROWS = 50_000  # joined rows that a model learns from, and is tested on
NEAR_ROWS = 20_000  # joined rows whose neighbours are looked for
COMMONEST = 500  # categories of a column that are told apart
ONE_HOT = 50  # categories of a column that have a dimension each where distances are taken
PERCENTILE = 5  # of the ratios among real rows, below which a synthetic row is too near


@dataclass(frozen=True)
class Joined:
    """A sample of joined rows: numbers as floats, categories as text, and which columns are which."""

    rows: pd.DataFrame
    numbers: list[str]
    categories: list[str]


def joined(frames: Mapping[str, DataFrame], schema: Schema, table: str) -> DataFrame:
    """The rows of a table with the columns of the rows that its foreign keys lead to and, if others refer to it, one
    row for each combination of these. Columns are named table.column; keys are left out."""
    base = _named(frames[table], schema, table, table)
    for fk in schema.table(table).foreign_keys:
        if fk.parent != table:
            prefix = f"{fk.parent}[{'+'.join(fk.columns)}]"
            base = base.join(_named(frames[fk.parent], schema, fk.parent, prefix), _match(fk, table, prefix), "left")
    for child, fk in schema.children(table):
        if child != table:
            base = base.join(_named(frames[child], schema, child, child), _match(fk, child, table), "left")
    return base.select(*[quote(c) for c in base.columns if not c.startswith("key:")])


def sample_of(rows: DataFrame, schema: Schema, most: int = SAMPLE_ROWS, seed: int = 0) -> Joined:
    """About `most` of the rows that `joined` made, on the driver: all of them if they are fewer."""
    count = rows.count()
    if count > most:
        rows = rows.sample(fraction=min(1.0, 1.05 * most / count), seed=seed).limit(most)
    kinds = {c: role(schema.table(c.split("[")[0].split(".")[0]), c.rsplit(".", 1)[1]) for c in rows.columns}
    of = {r: [c for c, k in kinds.items() if k is r] for r in (Role.NUMBER, Role.CATEGORY)}
    return Joined(rows.toPandas(), of[Role.NUMBER], of[Role.CATEGORY])


def model_compatibility(real: Joined, test: Joined, synth: Joined, target: str, seed: int = 0) -> dict[str, float]:
    """Scores on `test` of a classifier of `target` learnt from `real` and from `synth`, and |1 - e(real) / e(synth)| of
    each: ROC AUC (mean over classes, one against the rest) and F1 (macro)."""
    labels = sorted(real.rows[target].dropna().unique())
    columns = [c for c in (*real.numbers, *real.categories) if c != target]
    kept = {c: real.rows[c].value_counts().index[:COMMONEST] for c in real.categories}

    def numbers(of: Joined) -> tuple[np.ndarray, np.ndarray]:
        there = of.rows[of.rows[target].isin(labels)]
        parts = [pd.Categorical(there[c], kept[c]).codes if c in kept else there[c] for c in columns]
        return np.column_stack([np.asarray(p, dtype=float) for p in parts]), pd.Categorical(there[target], labels).codes

    x, y = numbers(test)
    found = {}
    for name, rows in (("real", real), ("synth", synth)):
        chances = _classified(*numbers(rows), x, len(labels), seed)
        classes = np.unique(y) if len(labels) > 2 else [1]
        found[f"auc_{name}"] = float(np.mean([roc_auc_score(y == k, chances[:, k]) for k in classes]))
        found[f"f1_{name}"] = float(f1_score(y, chances.argmax(1), average="macro"))
    for score in ("auc", "f1"):
        found[f"mc_{score}"] = abs(1 - found[f"{score}_real"] / found[f"{score}_synth"])
    return found


def privacy_score(real: Joined, synth: Joined, seed: int = 0) -> float:
    """P: the share of real rows whose nearest synthetic row is nearer, against their nearest real one, than the lowest
    PERCENTILE of two halves of the real rows to each other. 0.05 is what chance gives."""
    a, b = _as_points([_some(real.rows, seed), _some(synth.rows, seed)], real)
    one, other = np.array_split(a[np.random.default_rng(seed).permutation(len(a))], 2)
    alpha = np.percentile(_ratio(_nearest(one, other), _nearest(one, None)), PERCENTILE)
    return float((_ratio(_nearest(a, b), _nearest(a, None)) < alpha).mean())


def _named(frame: DataFrame, schema: Schema, table: str, prefix: str) -> DataFrame:
    """The values of a table as prefix.column, and the columns of its keys as key:prefix.column."""
    spec = schema.table(table)
    values = [v.alias(f"{prefix}.{c}") for c, v in values_of(frame, spec).items()]
    referred = {p for _, fk in schema.children(table) for p in fk.parent_columns}
    keys = sorted(referred | set(spec.primary_key) | spec.foreign_key_columns())
    return frame.select(*values, *[as_text(k).alias(f"key:{prefix}.{k}") for k in keys])


def _match(fk: ForeignKey, child: str, parent: str) -> list[SparkColumn]:
    return [
        F.col(quote(f"key:{child}.{c}")) == F.col(quote(f"key:{parent}.{p}"))
        for c, p in zip(fk.columns, fk.parent_columns, strict=True)
    ]


def _classified(x: np.ndarray, y: np.ndarray, test: np.ndarray, classes: int, seed: int) -> np.ndarray:
    """float (n, classes): chances of the rows of `test` by a classifier of rows x (m, D) with labels y (m,)."""
    from xgboost import XGBClassifier

    seen, labels = np.unique(y, return_inverse=True)
    model = XGBClassifier(n_estimators=60, max_depth=6, tree_method="hist", n_jobs=1, random_state=seed)
    chances = np.zeros((len(test), classes))
    chances[:, seen] = model.fit(x, labels).predict_proba(test)
    return chances


def _some(rows: pd.DataFrame, seed: int) -> pd.DataFrame:
    return rows.sample(min(len(rows), NEAR_ROWS), random_state=seed)


def _as_points(frames: list[pd.DataFrame], by: Joined) -> list[np.ndarray]:
    """Numbers standardised by the first frame, categories one-hot."""
    blocks: list[list[np.ndarray]] = []
    for c in by.numbers:
        mean, spread = frames[0][c].mean(), frames[0][c].std() or 1.0
        blocks.append([((f[c] - mean) / spread).fillna(0).to_numpy()[:, None] for f in frames])
    for c in by.categories:
        filled = [f[c].astype(object).where(f[c].notna(), "\0") for f in frames]
        kept = filled[0].value_counts().index[:ONE_HOT]
        blocks.append([np.eye(len(kept) + 1)[pd.Categorical(f, kept).codes] for f in filled])
    return [np.hstack(parts) for parts in zip(*blocks, strict=True)]


def _nearest(points: np.ndarray, others: np.ndarray | None) -> np.ndarray:
    """(n,): the distance to the nearest of `others`, or of the other `points`."""
    found = NearestNeighbors(n_neighbors=1 if others is not None else 2, algorithm="brute").fit(
        points if others is None else others
    )
    distance: np.ndarray = found.kneighbors(points)[0][:, -1]
    return np.where(distance < 1e-6, 0.0, distance)


def _ratio(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a / b, 1 where both are 0: no nearer than its own twin."""
    with np.errstate(all="ignore"):
        return np.where((a == 0) & (b == 0), 1.0, a / b)
