"""What the pages show of the metrics, worst first everywhere. Figures that a run does not have are left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

from spark_synth.evaluation.report.words import points, shade
from spark_synth.evaluation.verdict import unresolved

WORST = 10
FEW = 30  # real rows of a table, below which it is not looked at for the worst of a database
_ALIKE = 0.995  # a pair as good as this is not shown among the worst
_PARTS = {
    "shapes": ("Column shapes", "how alike each column's values are distributed"),
    "pairs": ("Pair trends", "how alike two columns of a table go together"),
    "degrees": ("Children per parent", "how alike rows spread over their parents"),
    "associations": ("Parent and child", "how much of what ties a child to its parent is there"),
}
_UNKNOWN = {"copied": None, "distinct": None, "length_shape": None}  # of a column where nobody looked
Found = Mapping[str, Any]


def table_view(name: str, found: Found, metrics: Found, href: str) -> dict[str, Any]:
    """One table as the templates want it. href: its page, from the folder of the pages of tables."""
    best = metrics.get("ceiling", {}).get("tables", {}).get(name, {})
    bests = best.get("columns", {})
    columns = [{**_UNKNOWN, "name": n, **c, "best": bests.get(n)} for n, c in found["columns"].items()]
    scored = sorted((c for c in columns if c["shape"] is not None), key=lambda c: c["shape"])
    drawn = [c for c in (*scored, *(c for c in columns if c["shape"] is None)) if _tells(c["plot"])]
    names = {c["name"] for c in drawn}
    links = [fk["degree"]["ks"] for fk in found["fk"].values()]
    quality = _quality(found)
    risks = metrics.get("privacy", {}).get("tables", {}).get(name, {})
    return {
        **found,
        "name": name,
        "href": href,
        "detection": found.get("detection"),
        "quality": quality,
        "lowest": min((q["score"] for q in quality.values() if q["score"] is not None), default=None),
        "drawn": drawn,
        "scored": scored,
        "plain": [c for c in columns if c["name"] not in names],
        "worst_pairs": sorted(_pairs(found), key=lambda p: p["score"])[:WORST],
        "worst_degree": max((k for k in links if k is not None), default=None),
        "orphans": sum(unresolved(fk) for fk in found["fk"].values()),
        "copied": sum(c.get("copied") or 0 for c in columns),
        "best": {"shape_mean": best.get("shape_mean"), "pair_mean": best.get("pair_mean")},
        "privacy": {way: risks[way] for way in ("alone", "joined") if risks.get(way)},
        "rules": [r for r in metrics.get("rules", []) if r["table"] == name],
        "khop": [h for h in tied(metrics) if name in h["path"]],
        "targets": [t for t in metrics.get("targets", []) if t["table"] == name],
    }


def tied(metrics: Found) -> list[Found]:
    """The paths over several keys whose ends have columns that are clearly tied in the real data."""
    return [h for h in metrics.get("khop", {}).get("paths", []) if h["score"] is not None]


def _tells(plot: Found | None) -> bool:
    """Whether there is anything to see: a plot of categories may name none, a histogram have one bar."""
    return plot is not None and (plot["labels"] != [None] if plot["axis"] == "category" else len(plot["real"]) > 1)


def _quality(found: Found) -> dict[str, Any]:
    """Both scores of a table, 0 to 100; a kept one has none."""
    empty: dict[str, Any] = {"score": None, "grade": None, "parts": {}}
    return {k: found.get("quality", {}).get(k, empty) for k in ("individual", "cross_table")}


def _pairs(found: Found) -> Iterator[dict[str, Any]]:
    """The pairs of columns of a table that are less than alike, with their associations where these are known."""
    pairs = found["pairs"]
    named = combinations(pairs["columns"], 2)
    nothing: Sequence[None] = [None] * len(pairs["scores"])
    sides = (pairs.get("real", nothing), pairs.get("synth", nothing))
    for (a, b), score, real, synth in zip(named, pairs["scores"], *sides, strict=True):
        if score is not None and score < _ALIKE:
            yield {"first": a, "second": b, "score": score, "real": real, "synth": synth}


def judged(tables: Sequence[Found]) -> list[Found]:
    """The tables among which the worst are looked for: those that were generated and have more than a few rows, where
    chance alone does not decide; all that were generated if none has."""
    made = [t for t in tables if not t["reference"]]
    return [t for t in made if t["rows"][0] >= FEW] or made


def worst_columns(tables: Sequence[Found]) -> list[dict[str, Any]]:
    """The columns that are furthest off."""
    found = [{**c, "table": t, "tells": c in t["drawn"]} for t in tables for c in t["scored"] if c["shape"] < _ALIKE]
    return sorted(found, key=lambda c: (c["shape"], c["table"]["name"], c["name"]))[:WORST]


def worst_pairs(tables: Sequence[Found]) -> list[dict[str, Any]]:
    """Likewise of pairs of columns of one table."""
    found = [{**p, "table": t} for t in tables for p in t["worst_pairs"]]
    return sorted(found, key=lambda p: (p["score"], p["table"]["name"]))[:WORST]


def worst_links(tables: Sequence[Found]) -> list[dict[str, Any]]:
    """Likewise of a parent's column and one of its children's."""
    found = []
    for t in tables:
        for fk in t["fk"].values():
            for w in (fk["association"] or {}).get("worst", []):
                found.append({**w, "table": t, "above": fk["parent"], "off": abs(w["real"] - w["synth"])})
    found = [f for f in found if f["off"] > 1 - _ALIKE]
    return sorted(found, key=lambda f: (-f["off"], f["table"]["name"]))[:WORST]


def association_rows(worst: Sequence[Found]) -> list[tuple[str, float | None, float | None]]:
    """Label, real and synthetic association of pairs of a parent's column and a child's."""
    return [(f"{w['parent']} × {w['child']}", w["real"], w["synth"]) for w in worst]


def sequence_rows(columns: Found, kind: str) -> list[tuple[str, float | None, float | None]]:
    """Likewise of one figure of the sequences of numbers."""
    return [(name, *found[kind]) for name, found in columns.items()]


def parts(metrics: Found) -> list[dict[str, Any]]:
    """Title, value, that of halves of the real rows (`best`), and what it means."""
    ceiling = metrics.get("ceiling", {}).get("summary", {})
    return [
        {"title": title, "value": metrics["summary"][k], "best": ceiling.get(k), "why": why}
        for k, (title, why) in _PARTS.items()
    ]


def told(table: Found) -> tuple[str, str, str]:
    """Class, mark and sentence of a table in the diagram: by the lower of its scores."""
    if table["reference"]:
        return "kept", "kept", "reference table, its real rows were kept"
    shown = {k: q for k, q in table["quality"].items() if q["score"] is not None}
    if not shown:
        return "none", "", "nothing to score"
    lowest = min(shown.values(), key=lambda q: q["score"])
    names = {"individual": "individual score", "cross_table": "cross-table score"}
    said = ", ".join(f"{names[k]} {points(q['score'])} of 100" for k, q in shown.items())
    return shade(lowest), f"{min(lowest['score'], 99.9 if lowest['score'] < 100 else 100):.0f}", said
