"""Numbers and names as a person reads them."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping
from typing import Any

_TITLES = {
    "run_id": "MLflow run",
    "auc": "AUC",
    "f1": "F1",
    "c2st": "Told from real rows",
    "shapes": "Column shapes",
    "pairs": "Pair trends",
    "degrees": "Children per parent",
    "associations": "Parent and child",
    "max_pair_columns": "Columns paired at most",
    "sample_rows": "Rows sampled for pairs",
    "detection_rows": "Rows for the classifier",
    "khop": "Over several keys",
}
# The grades of quality and those of privacy, each as the class that colours it: g1 is best.
_GRADES = {
    "excellent": "g1",
    "very good": "g2",
    "good": "g2",
    "moderate": "g3",
    "normal": "g3",
    "poor": "g4",
    "very poor": "g5",
}


def percent(value: float | None) -> str:
    """A share, one digit behind the point unless it is 0 or 1."""
    if value is None:
        return "–"
    return f"{100 * value:.1f} %" if 0 < abs(value) < 0.9995 else f"{100 * value:.0f} %"


def score(value: float | None) -> str:
    """A score of 0 to 1; only a perfect one is shown as 1.000."""
    if value is None:
        return "–"
    return "1.000" if value >= 1 else f"{min(value, 0.999):.3f}"


def points(value: float | None) -> str:
    """A score of 0 to 100; only a perfect one is shown as 100."""
    if value is None:
        return "–"
    return "100" if value >= 100 else f"{min(value, 99.9):.1f}"


def count(value: float | None) -> str:
    """A whole number, with commas."""
    return "–" if value is None else f"{value:,.0f}"


def grade(value: float | None) -> str:
    """The class that colours a score of 0 to 1."""
    if value is None:
        return "none"
    return "good" if value >= 0.9 else "fair" if value >= 0.75 else "poor"


def shade(found: Mapping[str, Any] | None) -> str:
    """The class that colours what has `score` (0 to 100) and may have a `grade` (or `level`): by the word if there is
    one."""
    if not found or found.get("score") is None:
        return "none"
    word = found.get("grade") or found.get("level")
    if word:
        return _GRADES.get(str(word).lower(), "g3")
    return {"good": "g2", "fair": "g3", "poor": "g4"}[grade(found["score"] / 100)]


def figure(value: float | None) -> str:
    """A number in at most four or so characters of precision: 0.42, 17, 1204, 12,040, 3.1 M."""
    if value is None or not math.isfinite(value):
        return "–"
    size = abs(value)
    for limit, unit in ((1e9, " G"), (1e6, " M"), (1e5, " k")):
        if size >= limit:
            return f"{value / (1e3 if unit == ' k' else limit):.3g}{unit}"
    if size >= 1000 or value == int(value):
        return f"{value:,.0f}" if size >= 1e4 else f"{value:.0f}"  # years have no comma
    return f"{value:.3g}"


def lasting(seconds: float) -> str:
    """How long something lasts, in its largest unit: 45 s, 2 min, 3 h, 12 d, 2 y."""
    for size, unit in ((365.25 * 86400, "y"), (86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size or (unit == "d" and seconds >= size):
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"


def short(label: str, room: float, letter: float) -> str:
    """The label, cut where it would be wider than the room. letter: width of one; wide ones take two."""
    used = 0.0
    for i, one in enumerate(label):
        used += letter * (2 if unicodedata.east_asian_width(one) in "WF" else 1)
        if used > room:
            return label[: max(1, i - 1)] + "…"
    return label


def title(name: str) -> str:
    """The name of a setting or a figure as a heading."""
    return _TITLES.get(name, name.replace("_", " ").capitalize())


def text(name: str, value: Any) -> str:  # noqa: ANN401 - any JSON value
    """A value of `about`; numbers in a mapping called `durations` are seconds."""
    if isinstance(value, Mapping):
        return " · ".join(f"{k} {text(name, v)}" for k, v in value.items()) or "none"
    if isinstance(value, (list, tuple, set)):
        return ", ".join(str(v) for v in value) or "none"
    if name == "durations" and isinstance(value, (int, float)):
        minutes, seconds = divmod(round(value), 60)
        return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
    return "none" if value is None else str(value)
