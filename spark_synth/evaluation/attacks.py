"""What somebody who has synthetic rows learns of real ones, beside what another sample of real rows would tell.

Risks are those of Giomi et al. (2023, arXiv 2211.10459): (attack - control) / (1 - control), from success rates with
Wilson's intervals, of which the 95 % interval follows by propagation. Their attacks on inference and singling out are
done on rows in memory. The control of inference are rows that were held out, as there, where there are enough; of all
else, and without them, it is one half of the real rows against the other half, as many rows as are attacked with. Both
halves are attacked then and what is won counts together, since a row can be given away in one of them only: a copy of
all real rows has risk 1, rows of an independent sample have 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from spark_synth.evaluation.joins import Joined
from spark_synth.evaluation.measures import auc_spread
from spark_synth.evaluation.near import PERCENTILE, nearest, neighbours, ratio

Z = 1.96  # of the 95 % interval
LEAST = 20  # rows of a half, or held-out rows, below which nothing is told
ATTACKS = 1000  # rows of a half whose secrets are guessed
SECRETS = 6  # columns that are guessed
TOLERANCE = 0.05  # of the ranks: a number is guessed if it is as near as that
KNOWN = 0.95  # a secret that is guessed as often from other rows is none
BINS = 20  # of a number in a combination
COMBINATIONS = 30  # of two or three columns


def excess(attack: float, attacks: float, control: float, controls: float) -> dict[str, float]:
    """`risk`, between 0 and 1, with `low` and `high`, of success rates `attack` and `control` of so many tries each."""
    (a, da), (c, dc) = _wilson(attack, attacks), _wilson(control, controls)
    left = max(1e-9, 1 - c)
    risk, error = (attack - control) / max(1e-9, 1 - control), np.hypot(da / left, (1 - a) / left**2 * dc)
    low, high = (float(np.clip(v, 0, 1)) for v in (risk - error, risk + error))
    return {"attack": attack, "control": control, "risk": float(np.clip(risk, 0, 1)), "low": low, "high": high}


def of_both(attacks: list[float], controls: list[float], tries: tuple[float, float]) -> dict[str, float]:
    """`excess` of success rates, one against all rows or one against each half, with as many controls, of so many tries
    and those of the control: `attack` is what they win beyond chance, counted on top of it. `rate`: the mean rate of
    success as it is."""
    control = float(np.mean(controls))
    won = min(1.0, max(0.0, sum(attacks) - sum(controls) + control))
    return {"rate": float(np.mean(attacks)), **excess(won, tries[0], control, tries[1])}


def closest(synth: np.ndarray, halves: list[np.ndarray], quarters: list[list[np.ndarray]]) -> dict[str, Any]:
    """Whether synthetic rows are so near to a row of one half that the other half has nothing like it.

    `real` and `synth`: median and 5th percentile of the distances to the closest record, of one half to the other and
    of synthetic rows to each half. A generator of typical rows is near to many real ones, and gives none away; so what
    is counted is the ratio of both distances: `attack` is the share of synthetic rows whose ratio is below `alpha`, the
    5th percentile of the ratios of rows of one half to the two quarters of the other. `blind`: it is 0.
    quarters: of each half, by families, as the halves are.
    """
    to_halves = [nearest(synth, half) for half in halves]
    among = [nearest(halves[1 - i], half) for i, half in enumerate(halves)]
    pairs = [[nearest(halves[1 - i], q) for q in quarters[i]] for i in (0, 1)]
    usual = np.concatenate([_sided(*pair) for pair in pairs])
    alpha = float(np.percentile(usual, PERCENTILE))
    share, control = float((_sided(*to_halves) < alpha).mean()), float((usual < alpha).mean())
    return {
        "real": _spread(np.concatenate(among)),
        "synth": _spread(np.concatenate(to_halves)),
        "alpha": alpha,
        "blind": alpha == 0,
        **excess(share, len(synth), control, len(usual)),
    }


def inference(
    by: np.ndarray,
    targets: list[np.ndarray],
    controls: list[tuple[np.ndarray, np.ndarray]],
    of: np.ndarray,
    secrets: dict[str, bool],
    tries: tuple[float, float],
) -> dict[str, Any]:
    """Whether the nearest synthetic row tells what a real row has in one column to somebody who knows its others.

    by: points (n, D) by ranks of synthetic rows; targets: of real rows that may be given away; controls: (real rows,
    rows that they are guessed from) in which nothing is. of: the column of each dimension. secrets: columns, and
    whether they hold numbers. tries: rows that are attacked and those of the control which are independent of each
    other. `columns`: by secret; the figures beside them are those of the worst.
    """
    found = {}
    for column, number in secrets.items():
        own, near = of == column, TOLERANCE if number else 1e-9
        if not own.any() or own.all():
            continue
        attacks = [_guessed(target, by, own, near) for target in targets]
        usual = [_guessed(*control, own, near) for control in controls]
        if np.mean(usual) < KNOWN:
            found[column] = of_both(attacks, usual, tries)
    worst = max(found.values(), key=lambda one: (one["low"], one["risk"]), default={})
    return {**worst, "columns": found}


def _guessed(targets: np.ndarray, by: np.ndarray, own: np.ndarray, near: float) -> float:
    """The share of rows whose own columns are those of their nearest row by all others."""
    targets = targets[:ATTACKS]
    at = neighbours(targets[:, ~own], by[:, ~own])[1]
    return float((np.abs(by[at][:, own] - targets[:, own]).max(axis=1, initial=0) <= near).mean())


def singling(synth: Joined, halves: list[Joined], seed: int) -> dict[str, Any] | None:
    """Whether what is unique in synthetic rows, of two or three columns together, is so in real ones: a guess is a
    combination that one row of those attacked with has, and right if it is one of exactly one row of a half.

    Numbers count by BINS of equal size. None where nothing is unique, as in tables of few categories.
    """
    codes, ends = _codes([*halves, synth]), np.cumsum([len(h.rows) for h in halves])
    right, guesses = np.zeros((2, 2)), np.zeros((2, 2))
    for columns in _combinations(codes.shape[1], seed):
        _, one = np.unique(codes[:, columns], axis=0, return_inverse=True)
        *sides, by = np.split(one.ravel(), ends)
        for i in (0, 1):
            alone = _unique(sides[i])
            for j, guessed in enumerate((_unique(by), _unique(sides[1 - i]))):
                right[i, j] += np.isin(guessed, alone).sum()
                guesses[i, j] += len(guessed)
    if not guesses.all():
        return None
    rates = right / guesses
    tries = min(guesses.min(), *(len(h.rows) for h in halves))  # guesses of one row are no independent tries
    each = (tries / 2, tries / 2)
    return {**of_both(list(rates[:, 0]), list(rates[:, 1]), each), "guesses": int(guesses[:, 0].sum())}


def membership(members: np.ndarray, others: np.ndarray, families: tuple[int, int]) -> dict[str, Any] | None:
    """Whether rows that the generator was fitted to are nearer to synthetic rows than rows that were held out: the
    AUC of telling them by the distance (Chen et al. 2020, arXiv 1909.03935), with the interval of Hanley and McNeil
    (1982).

    members, others: distances to the nearest synthetic row. families: of either, which are held out together, so that
    the interval is that of so many rows. None where there are too few.
    """
    from sklearn.metrics import roc_auc_score

    if min(families) < LEAST:
        return None
    label = np.repeat([1, 0], [len(members), len(others)])
    auc = float(roc_auc_score(label, -np.concatenate([members, others])))
    error = Z * auc_spread(auc, *families)
    low, high = max(0.0, auc - error), min(1.0, auc + error)
    risks = {k: max(0.0, 2 * v - 1) for k, v in (("risk", auc), ("low", low), ("high", high))}
    rows = {"members": len(members), "held": len(others)}
    return {"auc": auc, "auc_low": low, "auc_high": high, "rows": rows, "median": _medians(members, others), **risks}


def _wilson(rate: float, tries: float) -> tuple[float, float]:
    """The middle of Wilson's interval of a rate, and half its width."""
    scale = 1 + Z**2 / tries
    middle = (rate + Z**2 / (2 * tries)) / scale
    return middle, Z / scale * float(np.sqrt(max(0.0, rate * (1 - rate)) / tries + Z**2 / (4 * tries**2)))


def _sided(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The smaller of two distances by the larger, 1 where both are 0."""
    return ratio(np.minimum(one, other), np.maximum(one, other))


def _spread(distances: np.ndarray) -> dict[str, float]:
    return {"median": float(np.median(distances)), "p5": float(np.percentile(distances, 5))}


def _medians(members: np.ndarray, others: np.ndarray) -> dict[str, float]:
    return {"members": float(np.median(members)), "held": float(np.median(others))}


def _codes(sides: list[Joined]) -> np.ndarray:
    """int (n, C) of the rows of all sides after each other; the last side is the synthetic one."""
    both, real = (pd.concat([s.rows for s in part], ignore_index=True) for part in (sides, sides[:-1]))
    columns = []
    for c in sides[0].numbers:
        edges = np.unique(real[c].quantile(np.arange(1, BINS) / BINS).dropna())
        columns.append(np.where(both[c].isna(), -1, np.searchsorted(edges, both[c].to_numpy(float))))
    columns += [pd.factorize(both[c])[0] for c in sides[0].categories]
    return np.column_stack(columns)


def _combinations(width: int, seed: int) -> list[list[int]]:
    """Two or three columns each, drawn."""
    random, found = np.random.default_rng(seed), set()
    for n in range(COMBINATIONS):
        found.add(tuple(sorted(random.choice(width, min(width, 2 + n % 2), replace=False).tolist())))
    return [list(columns) for columns in sorted(found)]


def _unique(values: np.ndarray) -> np.ndarray:
    """Those that occur once."""
    found, counts = np.unique(values, return_counts=True)
    return np.asarray(found[counts == 1])
