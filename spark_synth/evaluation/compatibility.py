"""Whether a model learnt from synthetic rows does as well on real ones as one learnt from real rows.

Model compatibility of Mami et al. (2022, arXiv 2211.16889, section 4). Joins run in Spark; what a method holds in
memory is a sample of the joined rows, of a size that is told.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from sklearn.metrics import f1_score, r2_score, roc_auc_score

from spark_synth.evaluation.joins import Joined

COMMONEST = 500  # categories of a column that are told apart
MOST_LABELS = 30  # categories of a target
SCORES = ("auc", "f1")  # of a classifier


def model_compatibility(real: Joined, test: Joined, synth: Joined, target: str, seed: int = 0) -> dict[str, float]:
    """Scores on `test` of what is learnt of `target` from `real` and from `synth` (see `learnt`), and, but for numbers,
    |1 - e(real) / e(synth)| of each."""
    found: dict[str, float] = {}
    known = together(real, test)
    for name, rows in (("real", real), ("synth", synth)):
        found |= {f"{score}_{name}": v for score, v in learnt(rows, test, known, target, seed).items()}
    for score in SCORES:
        if f"{score}_real" in found:
            found[f"mc_{score}"] = incompatible(found[f"{score}_real"], found[f"{score}_synth"])
    return found


def incompatible(real: float, other: float) -> float:
    """|1 - e(real) / e(other)| of two scores."""
    return abs(1 - real / max(other, 1e-6))


def together(one: Joined, other: Joined) -> Joined:
    """The rows of both."""
    return replace(one, rows=pd.concat([one.rows, other.rows], ignore_index=True))


def learnt(train: Joined, test: Joined, real: Joined, target: str, seed: int = 0) -> dict[str, float]:
    """Scores on `test` of what XGBoost learns from `train`: ROC AUC (mean over classes, one against the rest) and F1
    (macro) of a category as `auc` and `f1`, R² of a number as `r2`. `real` tells which categories are known, of the
    target the MOST_LABELS commonest: all real rows, lest a class that is rare is passed over in `test` where the rows
    to learn from happen to lack it."""
    columns = [c for c in (*real.numbers, *real.categories) if c != target]
    kept = {c: real.rows[c].value_counts().index[:COMMONEST] for c in real.categories}
    numeric = target in real.numbers
    labels = [] if numeric else sorted(real.rows[target].value_counts().index[:MOST_LABELS])

    def numbers(of: Joined) -> tuple[np.ndarray, np.ndarray]:
        there = of.rows[of.rows[target].notna() if numeric else of.rows[target].isin(labels)]
        parts = [pd.Categorical(there[c], kept[c]).codes if c in kept else there[c] for c in columns]
        y = there[target].to_numpy(float) if numeric else pd.Categorical(there[target], labels).codes
        return np.column_stack([np.asarray(p, dtype=float) for p in parts]), y

    x, y = numbers(test)
    if numeric:
        return {"r2": float(r2_score(y, _regressed(*numbers(train), x, seed)))}
    chances = _classified(*numbers(train), x, len(labels), seed)
    classes = np.unique(y) if len(labels) > 2 else [1]
    auc = float(np.mean([roc_auc_score(y == k, chances[:, k]) for k in classes]))
    return {"auc": auc, "f1": float(f1_score(y, chances.argmax(1), average="macro"))}


def _regressed(x: np.ndarray, y: np.ndarray, test: np.ndarray, seed: int) -> np.ndarray:
    """float (n,): what rows x (m, D) with numbers y (m,) let expect of the rows of `test`."""
    from xgboost import XGBRegressor

    model = XGBRegressor(n_estimators=60, max_depth=6, tree_method="hist", n_jobs=1, random_state=seed)
    expected: np.ndarray = model.fit(x, y).predict(test)
    return expected


def _classified(x: np.ndarray, y: np.ndarray, test: np.ndarray, classes: int, seed: int) -> np.ndarray:
    """float (n, classes): chances of the rows of `test` by a classifier of rows x (m, D) with labels y (m,)."""
    from xgboost import XGBClassifier

    seen, labels = np.unique(y, return_inverse=True)
    model = XGBClassifier(n_estimators=60, max_depth=6, tree_method="hist", n_jobs=1, random_state=seed)
    chances = np.zeros((len(test), classes))
    chances[:, seen] = model.fit(x, labels).predict_proba(test)
    return chances
