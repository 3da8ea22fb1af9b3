"""Heat maps of the pairs of a table's columns: a triangle of squares, one path a colour."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Any

from markupsafe import Markup, escape

DIFFERENCES = (0.02, 0.05, 0.1, 0.2, 0.4)  # at which the colour of a difference changes: classes h0 to h5
STRENGTHS = (0.1, 0.3, 0.5, 0.7, 0.9)  # likewise of an association: h0, b1 to b5, and m1 to m5 below 0
_CELL, _NAMES = 14, 150
_LONGEST = 24


def heat_maps(pairs: Mapping[str, Any]) -> list[tuple[str, Markup]]:
    """(title, triangle) of the associations of real rows, of synthetic ones and of their difference; where only scores
    are known, of what these lack of 1. pairs: `columns`, `scores`, and perhaps `real` and `synth`, in the order of
    combinations(columns, 2)."""
    columns = pairs["columns"]
    if "real" not in pairs:
        lacking = [None if s is None else 1 - s for s in pairs["scores"]]
        return [("Difference of the trend", _triangle(columns, lacking, _different, "Difference of the trend"))]
    real, synth = pairs["real"], pairs["synth"]
    apart = [None if r is None else abs(r - (s or 0.0)) for r, s in zip(real, synth, strict=True)]
    drawn = [("Real", real, _strong), ("Synthetic", synth, _strong), ("Difference", apart, _different)]
    return [(title, _triangle(columns, values, step, f"{title}: association")) for title, values, step in drawn]


def _different(value: float) -> str:
    return f"h{sum(value >= s for s in DIFFERENCES)}"


def _strong(value: float) -> str:
    step = sum(abs(value) >= s for s in STRENGTHS)
    return "h0" if not step else f"{'b' if value > 0 else 'm'}{step}"


def _triangle(
    columns: Sequence[str], values: Sequence[float | None], step: Callable[[float], str], what: str
) -> Markup:
    n = len(columns)
    squares: dict[str, list[str]] = {}
    for (i, j), value in zip(combinations(range(n), 2), values, strict=True):
        if value is not None:
            squares.setdefault(step(value), []).append(f"M{i * _CELL} {(j - 1) * _CELL}h13v13h-13z")
    paths = "".join(f'<path class="{name}" d="{"".join(d)}"/>' for name, d in sorted(squares.items()))
    names = "".join(
        f'<text x="{j * _CELL + 6}" y="{(j - 1) * _CELL + 11}">{escape(columns[j][:_LONGEST])}</text>'
        for j in range(1, n)
    )
    first = f'<text x="6" y="-5">{escape(columns[0][:_LONGEST])}</text>'
    width = n * _CELL + _NAMES
    larger = 1.6 if n <= 8 else 1.3 if n <= 16 else 1
    style = f"width:{width * larger:.0f}px;--type:{11.5 / larger:.3g}px"
    return Markup(
        f'<svg class="heat" viewBox="0 -18 {width} {(n - 1) * _CELL + 20}" style="{style}" role="img" '
        f'aria-label="{escape(what)} of every pair of columns">{first}{paths}{names}</svg>'
    )


def difference_steps() -> list[tuple[str, str]]:
    """(class, what it stands for) of a difference."""
    return _ranges("h", DIFFERENCES)


def strength_steps() -> list[tuple[str, str]]:
    """(class, what it stands for) of an association of 0 or more; of negative ones the classes begin with m."""
    return [("h0", f"below {STRENGTHS[0]:g}"), *_ranges("b", STRENGTHS)[1:]]


def _ranges(letter: str, steps: Sequence[float]) -> list[tuple[str, str]]:
    bounds = [f"{s:g}" for s in steps]
    inner = [f"{a} to {b}" for a, b in zip(bounds, bounds[1:], strict=False)]
    told = [f"below {bounds[0]}", *inner, f"{bounds[-1]} and more"]
    return [(f"{letter}{i}", text) for i, text in enumerate(told)]
