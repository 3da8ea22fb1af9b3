"""Charts as small inline SVG, coloured by the classes of the report's style sheet. Labels are escaped here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import Any

from markupsafe import Markup, escape

WIDTH, HEIGHT, FOOT = 320, 110, 16
_ROW, _LABEL = 18, 116
_STEPS = (0.02, 0.05, 0.1, 0.2, 0.4)  # differences of a trend at which the colour of the heat map changes


def figure(value: float | None) -> str:
    """A number in at most four or so characters of precision: 0.42, 17, 1204, 12,040, 3.1 M."""
    if value is None:
        return "–"
    size = abs(value)
    for limit, unit in ((1e9, " G"), (1e6, " M"), (1e5, " k")):
        if size >= limit:
            return f"{value / (1e3 if unit == ' k' else limit):.3g}{unit}"
    if size >= 1000 or value == int(value):
        return f"{value:,.0f}" if size >= 1e4 else f"{value:.0f}"  # years have no comma
    return f"{value:.3g}"


def moment(seconds: float, span: float) -> str:
    """A time on an axis: the date, with the hour where the whole axis covers less than three days."""
    try:
        when = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    except OverflowError:
        return figure(seconds)
    return when.strftime("%Y-%m-%d" if span > 3 * 86400 else "%Y-%m-%d %H:%M")


def chart(plot: Mapping[str, Any], name: str) -> Markup:
    """The chart of a `plot` payload: overlaid histogram, or paired bars for categories."""
    return categories(plot, name) if plot["axis"] == "category" else histogram(plot, name)


def histogram(plot: Mapping[str, Any], name: str) -> Markup:
    """Real shares as a filled area, synthetic ones as a line over it."""
    edges, real, synth = plot["edges"], plot["real"], plot["synth"]
    top = max([*real, *synth, 1e-9])
    width = WIDTH / len(real)

    def outline(shares: Sequence[float]) -> str:
        heights = [HEIGHT - 4 - (HEIGHT - 8) * s / top for s in shares]
        return "".join(f"V{h:.4g}h{width:.4g}" for h in heights)

    base = HEIGHT - 4
    span = edges[-1] - edges[0]
    label = (lambda v: moment(v, span)) if plot["axis"] == "datetime" else figure
    ends = [(edges[0], 0, "start"), ((edges[0] + edges[-1]) / 2, WIDTH / 2, "middle"), (edges[-1], WIDTH, "end")]
    ticks = "".join(
        f'<text x="{x:.4g}" y="{HEIGHT + FOOT - 5}" text-anchor="{anchor}">{escape(label(v))}</text>'
        for v, x, anchor in (ends if len(real) > 1 else ends[:1])
    )
    what = {"length": "length in characters", "children": "children per parent"}.get(plot["axis"], "values")
    return Markup(
        f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT + FOOT}" role="img" '
        f'aria-label="{escape(name)}: histogram of {what}, real and synthetic">'
        f'<path class="real" d="M0 {base}{outline(real)}V{base}z"/>'
        f'<path class="synth" d="M0 {base}{outline(synth)}V{base}"/>'
        f'<path class="axis" d="M0 {base}H{WIDTH}"/>{ticks}</svg>'
    )


def categories(plot: Mapping[str, Any], column: str) -> Markup:
    """Two bars a category, the commonest first and all others last."""
    real, synth = plot["real"], plot["synth"]
    rows = [r for r in zip(plot["labels"], real, synth, strict=True) if r[1] or r[2]]
    top = max([*real[:-1], *synth[:-1], 1e-9])  # the others together would dwarf the rest, so they have no bar
    room = WIDTH - _LABEL - 48
    parts = []
    for i, (label, r, s) in enumerate(rows):
        y = i * _ROW
        name = "all others" if label is None else str(label)
        short = name if len(name) <= 18 else name[:17] + "…"
        parts.append(f'<text x="{_LABEL - 6}" y="{y + 12}" text-anchor="end">{escape(short)}</text>')
        if label is None:
            parts.append(f'<text x="{_LABEL}" y="{y + 12}">{100 * r:.3g} % → {100 * s:.3g} %</text>')
            continue
        parts.append(
            f'<rect class="real" x="{_LABEL}" y="{y + 2}" width="{max(room * r / top, 0.5):.4g}" height="6"/>'
            f'<rect class="made" x="{_LABEL}" y="{y + 9}" width="{max(room * s / top, 0.5):.4g}" height="6"/>'
            f'<text x="{_LABEL + room * max(r, s) / top + 5:.4g}" y="{y + 12}">{100 * s:.3g} %</text>'
        )
    return Markup(
        f'<svg class="plot" viewBox="0 0 {WIDTH} {max(_ROW, _ROW * len(rows))}" role="img" '
        f'aria-label="{escape(column)}: shares of values, real and synthetic">{"".join(parts)}</svg>'
    )


def heat_map(columns: Sequence[str], scores: Sequence[float | None]) -> Markup:
    """Differences of the trends of all pairs, as a triangle: one square a pair, one path a colour."""
    n, cell = len(columns), 14
    squares: dict[int, list[str]] = {}
    for (i, j), score in zip(combinations(range(n), 2), scores, strict=True):
        if score is not None:
            step = sum(1 - score >= s for s in _STEPS)
            squares.setdefault(step, []).append(f"M{i * cell} {(j - 1) * cell}h13v13h-13z")
    paths = "".join(f'<path class="h{step}" d="{"".join(d)}"/>' for step, d in sorted(squares.items()))
    names = "".join(
        f'<text x="{j * cell + 6}" y="{(j - 1) * cell + 11}">{escape(columns[j][:24])}</text>' for j in range(1, n)
    )
    first = f'<text x="6" y="-5">{escape(columns[0][:24])}</text>'
    return Markup(
        f'<svg class="heat" viewBox="0 -18 {n * cell + 150} {(n - 1) * cell + 20}" '
        f'style="max-width:{(n * cell + 150) * 1.15:.0f}px" role="img" '
        f'aria-label="Difference of the trend of every pair of columns">{first}{paths}{names}</svg>'
    )


def heat_steps() -> list[str]:
    """The legend of the heat map, one text for each of the classes h0, h1, ..."""
    bounds = [f"{s:g}" for s in _STEPS]
    inner = [f"{a} to {b}" for a, b in zip(bounds, bounds[1:], strict=False)]
    return [f"below {bounds[0]}", *inner, f"{bounds[-1]} and more"]
