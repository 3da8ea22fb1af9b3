"""Whether a model learnt from synthetic rows does as well on real ones as one learnt from real rows.

Model compatibility of Mami et al. (2022, arXiv 2211.16889, section 4). Joins run in Spark; what a method holds in
memory is a sample of the joined rows, of a size that is told.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.metrics import f1_score, roc_auc_score

from spark_synth.evaluation.joins import Joined

COMMONEST = 500  # categories of a column that are told apart


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


def _classified(x: np.ndarray, y: np.ndarray, test: np.ndarray, classes: int, seed: int) -> np.ndarray:
    """float (n, classes): chances of the rows of `test` by a classifier of rows x (m, D) with labels y (m,)."""
    from xgboost import XGBClassifier

    seen, labels = np.unique(y, return_inverse=True)
    model = XGBClassifier(n_estimators=60, max_depth=6, tree_method="hist", n_jobs=1, random_state=seed)
    chances = np.zeros((len(test), classes))
    chances[:, seen] = model.fit(x, labels).predict_proba(test)
    return chances
