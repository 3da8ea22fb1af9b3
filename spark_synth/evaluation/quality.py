"""The Synthetic Quality Score: 0 to 100 with a grade, of every table by itself, across tables, and of the database.

A score is 100 times the mean of those of its parts that can be measured; every part is between 0 and 1, falls with what
it measures, and is 1 where the synthetic rows are as another sample of the source would be. Individually, of a table:

- shapes: mean over columns of 1 - KS (numbers, dates) or 1 - total variation (categories);
- ties: of the strong associations of two columns of the real rows, the share that is neither lost nor exceeded;
- detection: 2 (1 - AUC) of a classifier that tells the rows from real ones, 1 where the AUC is at most 0.5.

Across tables, of a table with all its ancestors:

- degrees: mean over foreign keys of 1 - KS of the number of children;
- ties: as above, of its columns with those of the rows one, two and three foreign keys above it;
- sequence: likewise of the autocorrelations and of the share of variance between families, for rows in an order;
- detection: as above, of rows together with those that own them and with kept rows above them (joins.along_owners).

The score of the database is the mean over its tables of the mean of the two. Kept tables have none. Grades divide the
scale as that of other tools does: Excellent from 80, Good from 60, Moderate from 40, Poor from 20, Very Poor below.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from spark_synth.evaluation.measures import kept_share, mean

GRADES = ((80, "Excellent"), (60, "Good"), (40, "Moderate"), (20, "Poor"), (0, "Very Poor"))
DETECTION_ROWS = 100  # of a side, below which a classifier tells little
Parts = dict[str, float | None]


def database_quality(
    tables: Mapping[str, Mapping[str, Any]], paths: Iterable[Mapping[str, Any]], part: Callable[[str, float], float]
) -> dict[str, Any]:
    """`score` and `grade` of a database and, in `tables`, `individual` and `cross_table` scores, each with its grade
    and parts. tables, paths: as evaluate_database finds them; part: turns the name and value of one into another."""
    found: dict[str, dict[str, Any]] = {}
    for t, v in tables.items():
        if not v["reference"]:
            far = [p["score"] for p in paths if p["path"][0] == t]
            found[t] = {"individual": _scored(_individual(v), part), "cross_table": _scored(_across(v, far), part)}
    scores = [mean(each["score"] for each in ways.values()) for ways in found.values()]
    return {**_graded(mean(scores)), "tables": found}


def _individual(table: Mapping[str, Any]) -> Parts:
    return {"shapes": table["shape_mean"], "ties": table["pairs"]["kept"], "detection": _hidden(table, "alone")}


def _across(table: Mapping[str, Any], far: list[float | None]) -> Parts:
    keys = [fk for fk in table["fk"].values() if not fk["reference"]]
    sequences = [_in_order(fk["sequence"]) for fk in keys if fk.get("sequence")]
    return {
        "degrees": mean(None if fk["degree"]["ks"] is None else 1 - fk["degree"]["ks"] for fk in keys),
        "ties": mean([*((fk["association"] or {}).get("score") for fk in keys), *far]),
        "sequence": mean(sequences),
        "detection": _hidden(table, "ancestors"),
    }


def _in_order(sequence: Mapping[str, Any]) -> float | None:
    pairs = [pair for column in sequence["columns"].values() for pair in column.values()]
    return kept_share((real, synth or 0.0) for real, synth in pairs if real is not None)


def _hidden(table: Mapping[str, Any], way: str) -> float | None:
    """How little a classifier can tell rows from real ones; of few families it learns what is left after one is taken
    out, and says nothing."""
    found = (table.get("detection") or {}).get(way)
    if not found or min(*table["rows"], found.get("families", DETECTION_ROWS)) < DETECTION_ROWS:
        return None
    return min(1.0, 2 * (1 - float(found["auc"])))


def _scored(parts: Parts, part: Callable[[str, float], float]) -> dict[str, Any]:
    turned = {k: part(k, v) for k, v in parts.items() if v is not None}
    part_mean = mean(turned.values())
    return {**_graded(None if part_mean is None else 100 * part_mean), "parts": turned}


def _graded(score: float | None) -> dict[str, Any]:
    """A score with its grade."""
    return {"score": score, "grade": None if score is None else next(g for least, g in GRADES if score >= least)}
