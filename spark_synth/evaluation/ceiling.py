"""What another sample of the same source would score: estimated from one half of the real rows against the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spark_synth.evaluation.database import Settings, evaluate_database
from spark_synth.evaluation.halves import Halves
from spark_synth.evaluation.joins import GENERATIONS, along_owners
from spark_synth.evaluation.quality import database_quality
from spark_synth.schema.model import Schema

NOISE = 2**-0.5  # distances between samples of a source go with one over the root of their rows; halves have half
SCORED = ("shapes", "pairs", "degrees", "associations")


def find_ceiling(cut: Halves, schema: Schema, owners: Mapping[str, str | None], settings: Settings) -> dict[str, Any]:
    """`summary` and, by table, the scores that a second sample of as many rows would have against the real tables:
    what two halves lack of 1, times NOISE. More cannot be asked of values that are drawn; what is matched exactly, as
    degrees are, may be above. Tables that are the same in both halves are left out."""
    found = evaluate_database(
        cut.one,
        cut.other,
        schema,
        ratio=1.0,
        owners=owners,
        references=cut.whole,
        settings=settings,
        thorough=False,
    )
    above = along_owners(schema, owners, cut.whole)
    told = {
        t: v | {"detection": _untold(t, above, owners, found["tables"]) if settings.detection_rows else None}
        for t, v in found["tables"].items()
    }
    quality = database_quality(told, found["khop"]["paths"], lambda name, v: v if name == "detection" else _nearer(v))
    each = quality["tables"]
    return {
        "summary": {"score": quality["score"], **{k: _whole(found["summary"][k]) for k in SCORED}},
        "tables": {t: {**_scores(v), "quality": each[t]} for t, v in found["tables"].items() if t not in cut.whole},
        "whole": sorted(cut.whole),
    }


def _untold(table: str, above: Schema, owners: Mapping[str, str | None], tables: Mapping[str, Any]) -> dict[str, Any]:
    """Two samples of a source are not told apart; of few families nobody asks, of rows with none above either."""
    top = table
    for _ in range(GENERATIONS):
        top = next((fk.parent for fk in above.table(top).foreign_keys if fk.name == owners.get(top)), top)
    ancestors = {"auc": 0.5, "families": min(tables[top]["rows"])} if above.table(table).foreign_keys else None
    return {"alone": {"auc": 0.5}, "ancestors": ancestors}


def _whole(score: float | None) -> float | None:
    """The score of samples of twice as many rows."""
    return None if score is None else _nearer(score)


def _nearer(score: float) -> float:
    return 1 - (1 - score) * NOISE


def _scores(table: Mapping[str, Any]) -> dict[str, Any]:
    links = {
        n: {
            "degree_ks": None if fk["degree"]["ks"] is None else fk["degree"]["ks"] * NOISE,
            "association": _whole((fk["association"] or {}).get("score")),
        }
        for n, fk in table["fk"].items()
    }
    columns = {c: _whole(v["shape"]) for c, v in table["columns"].items()}
    return {**{k: _whole(table[k]) for k in ("shape_mean", "pair_mean")}, "columns": columns, "fk": links}
