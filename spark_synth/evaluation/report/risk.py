"""Privacy figures in words: what each measures and what is good. The figures themselves are shown as they come."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from spark_synth.evaluation.report.words import figure, title

PARTS = {
    "nearness": (
        "Nearness",
        "Whether synthetic rows are nearer to real ones than these are to each other. Good: no more than by chance.",
    ),
    "closest": (
        "Closest record",
        "How far it is from a synthetic row to the nearest real one. Good: as far as to rows no model has seen.",
    ),
    "copies": (
        "Copies",
        "Synthetic rows that repeat real ones, whole or nearly. Good: none but those that common values make.",
    ),
    "inference": (
        "Inference",
        "Whether synthetic rows help to guess a column of real rows. Good: no more than for rows no model has seen.",
    ),
    "singling": (
        "Singling out",
        "Whether a condition found in synthetic rows picks exactly one real row. Good: no more often than chance.",
    ),
    "membership": (
        "Membership",
        "Whether one can tell that a row was among those learnt from. Good: a coin, 0.5 or no advantage.",
    ),
}
_NAMES = ("column", "secret", "target", "key", "columns")  # texts that are names of columns, never values
WAYS = {"alone": "Rows alone", "joined": "Joined with related rows"}


def part(name: str) -> tuple[str, str]:
    """Title and sentence of a part."""
    return PARTS.get(name, (title(name), ""))


def figures(found: Mapping[str, Any] | None) -> Iterator[tuple[str, str, list[tuple[str, str]]]]:
    """(title, sentence, [(name, figure)]) of each part of what is known of a table's rows."""
    for name in PARTS:
        inside = (found or {}).get(name)
        if isinstance(inside, Mapping):
            shown = [(title(k), text) for k, v in _flat(inside) if (text := _shown(k, v)) is not None]
            if shown:
                yield (*part(name), shown)


def _flat(inside: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Figures, those of a mapping under both names; those of single columns are in metrics.json."""
    for k, v in inside.items():
        if not isinstance(v, Mapping):
            yield k, v
        elif k != "columns":
            yield from ((f"{k} {name}", each) for name, each in v.items())


def lowest(found: Mapping[str, Any] | None) -> str | None:
    """The title of the part with the lowest score, if that is not 100."""
    scores = {k: v for k, v in (found or {}).get("parts", {}).items() if v is not None and v < 100}
    return part(min(scores, key=lambda k: scores[k]))[0] if scores else None


def least(ways: Mapping[str, Any]) -> float:
    """The lower of a table's privacy scores, 101 where it has none."""
    scores = [found.get("score") for found in ways.values()]
    return min((s for s in scores if s is not None), default=101.0)


def _shown(name: str, value: Any) -> str | None:  # noqa: ANN401 - any JSON value
    """A figure as text; None for what is none, so that no value of a row can reach a page."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or isinstance(value, (int, float)):
        return figure(value)
    if isinstance(value, (list, tuple)) and all(v is None or isinstance(v, (int, float)) for v in value):
        return " → ".join(figure(v) for v in value) if len(value) == 2 else ", ".join(figure(v) for v in value)
    return str(value) if isinstance(value, str) and name in _NAMES else None
