"""All that is measured of the privacy of one table on rows in memory: a sample of either side, in one Spark task."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame

from spark_synth.evaluation.attacks import ATTACKS, LEAST, SECRETS, closest, excess, inference, membership, singling
from spark_synth.evaluation.joins import FAMILY, PLACE, Joined, kinds_of
from spark_synth.evaluation.near import PERCENTILE, Points, nearest, privacy_score, ranked
from spark_synth.evaluation.task import in_one_task

SIDE, HELD = "__side", "__held"  # 0 and 1: halves of the real rows, 2: synthetic ones; real rows that were held out
LEAST_COLUMNS = 2  # that vary, or a row is a value that many may have


def measure(
    rows: DataFrame, direct: list[str], secrets: list[str], most: int, least: int, seed: int
) -> dict[str, Any] | None:
    """Figures of `nearness`, `closest`, `inference`, `singling` and `membership` (None where there is nothing to tell),
    `rows` of either side and those held out, and `spreads`, by number: from the 10th to the 90th percentile.

    rows: values in the form of `values_of` and PLACE, FAMILY, SIDE and HELD, of which `most` of a side are used.
    direct: columns that P is taken over, those of a row and of its parents, as where it was published. secrets:
    columns that may be guessed. None where a side has fewer than `least` rows.
    """
    numbers, categories = kinds_of(rows)
    chosen = [secrets[i] for i in np.unique(np.linspace(0, len(secrets) - 1, SECRETS).astype(int))] if secrets else []
    found: dict[str, Any] | None = in_one_task(
        rows, lambda r: measured(r, numbers, categories, direct, chosen, most, least, seed)
    )
    return found


def measured(
    rows: pd.DataFrame,
    numbers: list[str],
    categories: list[str],
    direct: list[str],
    secrets: list[str],
    most: int,
    least: int,
    seed: int,
) -> dict[str, Any] | None:
    """See `measure`: the same of rows in memory."""
    rows = rows.sort_values([PLACE, *numbers, *categories])  # in the order of a hash: by chance, and always the same
    real, synth = (part.head(most).reset_index(drop=True) for part in (rows[rows[SIDE] < 2], rows[rows[SIDE] == 2]))
    varied = sum(real[c].nunique() > 1 for c in (*numbers, *categories))
    if min(len(real), len(synth)) < least or varied < LEAST_COLUMNS:
        return None
    whole, fake = (Joined(part, numbers, categories) for part in (real, synth))
    points = ranked([real, synth], whole)
    of_synth = points.sides[1]
    at = [np.flatnonzero(real[SIDE] == h) for h in (0, 1)]
    each = min(len(at[0]), len(at[1]), len(synth))
    held = real[HELD].to_numpy(bool)
    found: dict[str, Any] = {
        "rows": {"real": len(real), "synth": len(synth), "held": int(held.sum()), "half": each},
        "spreads": {c: _spread_of(real[c]) for c in numbers},
        "nearness": None,
        "closest": None,
        "inference": None,
        "singling": None,
        "membership": None,
    }
    if held.any():
        distances = nearest(points.sides[0], of_synth)
        fitted, kept = (real[FAMILY][which].nunique() for which in (~held, held))
        found["membership"] = membership(distances[~held], distances[held], (fitted, kept))
    if each < LEAST:
        return found
    halves = [a[:each] for a in at]
    sides = [Joined(real.iloc[h], numbers, categories) for h in halves]
    near = [points.sides[0][h] for h in halves]
    found["nearness"] = _nearness(*[_only(s, direct) for s in (whole, fake, *sides)], seed=seed)
    found["closest"] = _closest(of_synth, near, [real[FAMILY].to_numpy()[h] for h in halves])
    found["inference"] = _inference(points, real, of_synth, {c: c in numbers for c in secrets})
    found["singling"] = singling(Joined(synth.head(each), numbers, categories), sides, seed)
    return found


def _only(of: Joined, columns: list[str]) -> Joined:
    """The same rows with fewer columns."""
    return Joined(of.rows, *[[c for c in part if c in columns] for part in (of.numbers, of.categories)])


def _nearness(real: Joined, synth: Joined, *halves: Joined, seed: int) -> dict[str, Any]:
    """P beside that of one half for the other; a generator is not asked for less than chance."""
    some = Joined(synth.rows.head(len(real.rows)), synth.numbers, synth.categories)
    found = privacy_score(real, some, seed)
    usual = [privacy_score(half, halves[1 - i], seed)["P"] for i, half in enumerate(halves)]
    control = max(PERCENTILE / 100, float(np.mean(usual)))
    return {**found, **excess(found["P"], len(real.rows), control, 2 * len(halves[0].rows))}


def _closest(synth: np.ndarray, halves: list[np.ndarray], families: list[np.ndarray]) -> dict[str, Any] | None:
    quarters = []
    for half, family in zip(halves, families, strict=True):
        second = (family & 2).astype(bool)
        size = min(second.sum(), (~second).sum())
        quarters.append([half[second][:size], half[~second][:size]])
    if min(len(q) for pair in quarters for q in pair) < LEAST // 2:
        return None
    return closest(synth, halves, quarters)


def _inference(points: Points, real: pd.DataFrame, synth: np.ndarray, secrets: dict[str, bool]) -> dict[str, Any]:
    """What synthetic rows tell of fitted rows beyond what they tell of held-out ones; where few were held out, of any
    half of the rows beyond what the other half tells of it."""
    rows, held = points.sides[0], real[HELD].to_numpy(bool)
    families = [float(real[FAMILY][which].nunique()) for which in (~held, held)]
    if families[1] >= LEAST:
        return inference(synth, [rows[~held]], [(rows[held], synth)], points.of, secrets, (families[0], families[1]))
    halves = [rows[0::2], rows[1::2]]
    tries = min(float(ATTACKS), *map(len, halves)) / 2
    controls = [(halves[0], halves[1]), (halves[1], halves[0])]
    return inference(synth[: len(halves[1])], halves, controls, points.of, secrets, (tries, tries))


def _spread_of(values: pd.Series) -> float:
    low, high = values.quantile([0.1, 0.9])
    spread = high - low if high > low else values.std()
    return float(spread) if spread > 0 else 1.0
