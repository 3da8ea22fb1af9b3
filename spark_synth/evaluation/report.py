"""The HTML report: one file that opens anywhere and asks nothing of the network."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from spark_synth.evaluation import charts
from spark_synth.evaluation.verdict import unresolved

_MANY_TABLES = 60  # above it each table shows only its worst columns as charts, or the file grows past comfort
_CHARTS = 12
_OPEN = 4  # a database of so few tables is shown unfolded
_WORST_PAIRS = 8
_TITLES = {"run_id": "MLflow run", "identifier": "Identifier", "seed": "Seed", "ratio": "Ratio"}


def write_report(metrics: Mapping[str, Any], folder: Path, about: Mapping[str, Any]) -> Path:
    """Write `index.html` into `folder` (made if absent) and return its path.

    `about` says what was made: any names and values, a value being text, a number, a list, or one more mapping. Shown
    in the order given; `identifier` is the title, and numbers in a mapping called `durations` are seconds.
    """
    environment = Environment(
        loader=PackageLoader("spark_synth.evaluation"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters |= {
        "percent": _percent,
        "score": _score,
        "figure": charts.figure,
        "count": lambda v: "–" if v is None else f"{v:,.0f}",
        "grade": _grade,
    }
    environment.globals |= {"chart": charts.chart, "heat_map": charts.heat_map, "heat_steps": charts.heat_steps()}
    ceiling = metrics.get("ceiling", {"summary": {}, "tables": {}})
    best = ceiling["tables"]
    tables = [_table(name, v, len(metrics["tables"]), best.get(name, {})) for name, v in metrics["tables"].items()]
    page = environment.get_template("report.html.j2").render(
        title=about.get("identifier", "synthetic database"),
        about=[(_title(k), _text(k, v)) for k, v in about.items()],
        metrics=metrics,
        summary=metrics["summary"],
        parts=_parts(metrics["summary"], ceiling["summary"]),
        ceiling=ceiling,
        workload=sorted(metrics.get("workload", {}).get("queries", []), key=lambda q: -(q["error"] or q["missing"])),
        tables=sorted(tables, key=lambda t: (t["reference"], _low(t["overall"]), t["name"])),
        unfolded=len(tables) <= _OPEN,
    )
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "index.html"
    path.write_text(page, encoding="utf-8")
    return path


def _low(score: float | None) -> float:
    return 2.0 if score is None else score


def _table(name: str, found: Mapping[str, Any], tables: int, best: Mapping[str, Any]) -> dict[str, Any]:
    """One table as the template wants it: worst first everywhere. best: what halves of the real rows score."""
    columns = [{"name": n, **c} for n, c in found["columns"].items()]
    scored = sorted((c for c in columns if c["shape"] is not None), key=lambda c: c["shape"])
    drawn = [c for c in scored if c["plot"]][: _CHARTS if tables > _MANY_TABLES else None]
    named = {c["name"] for c in drawn}
    pairs = found["pairs"]
    trends = [
        (a, b, s) for (a, b), s in zip(combinations(pairs["columns"], 2), pairs["scores"], strict=True) if s is not None
    ]
    links = [fk["degree"]["ks"] for fk in found["fk"].values()]
    return {
        **found,
        "name": name,
        "overall": found["score"],
        "drawn": drawn,
        "plain": [c for c in columns if c["name"] not in named],
        "worst_pairs": [t for t in sorted(trends, key=lambda t: t[2])[:_WORST_PAIRS] if t[2] < 0.995],
        "worst_degree": max((k for k in links if k is not None), default=None),
        "orphans": sum(unresolved(fk) for fk in found["fk"].values()),
        "best": {"shape_mean": best.get("shape_mean"), "pair_mean": best.get("pair_mean")},
    }


def _parts(summary: Mapping[str, Any], ceiling: Mapping[str, Any]) -> list[tuple[str, float | None, float | None, str]]:
    """Title, score, that of halves of the real rows, and what it means."""
    told = {
        "shapes": ("Column shapes", "how alike each column's values are distributed"),
        "pairs": ("Pair trends", "how alike two columns of a table go together"),
        "degrees": ("Children per parent", "how alike rows spread over their parents"),
        "associations": ("Parent and child", "how much of what ties a child to its parent is there"),
    }
    return [(title, summary[k], ceiling.get(k), why) for k, (title, why) in told.items()]


def _percent(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{100 * value:.1f} %" if 0 < abs(value) < 0.9995 else f"{100 * value:.0f} %"


def _score(value: float | None) -> str:
    """A score of 0 to 1; only a perfect one is shown as 1."""
    if value is None:
        return "–"
    return "1" if value >= 1 else f"{min(value, 0.999):.3f}"


def _grade(value: float | None) -> str:
    """The class that colours a score."""
    if value is None:
        return "none"
    return "good" if value >= 0.9 else "fair" if value >= 0.75 else "poor"


def _title(name: str) -> str:
    return _TITLES.get(name, name.replace("_", " ").capitalize())


def _text(name: str, value: Any) -> str:  # noqa: ANN401 - any JSON value
    if isinstance(value, Mapping):
        return " · ".join(f"{k} {_text(name, v)}" for k, v in value.items()) or "none"
    if isinstance(value, (list, tuple, set)):
        return ", ".join(str(v) for v in value) or "none"
    if name == "durations" and isinstance(value, (int, float)):
        minutes, seconds = divmod(round(value), 60)
        return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
    return "none" if value is None else str(value)
