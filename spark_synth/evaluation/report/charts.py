"""Charts as small inline SVG, coloured by the classes of the report's style sheet. Labels are escaped here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from markupsafe import Markup, escape

from spark_synth.evaluation.report.words import figure, lasting, short

WIDTH, HEIGHT, FOOT = 320, 110, 16
_ROW, _LABEL = 18, 116
_LETTER = 6.7  # width of a letter
_AXES = {"length": "length in characters", "children": "children per parent", "gap": "time between rows"}


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
    labels = {"datetime": lambda v: moment(v, span), "gap": lasting}
    label = labels.get(plot["axis"], figure)
    half = len(real) // 2
    ends = [(edges[0], 0, "start"), (edges[half], half * width, "middle"), (edges[-1], WIDTH, "end")]
    ticks = "".join(
        f'<text x="{x:.4g}" y="{HEIGHT + FOOT - 5}" text-anchor="{anchor}">{escape(label(v))}</text>'
        for v, x, anchor in (ends if len(real) > 1 else ends[:1])
    )
    what = _AXES.get(plot["axis"], "values")
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
        parts.append(
            f'<text x="{_LABEL - 6}" y="{y + 12}" text-anchor="end">{escape(short(name, _LABEL - 8, _LETTER))}</text>'
        )
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


def dumbbells(
    rows: Sequence[tuple[str, float | None, float | None]], name: str, low: float = 0.0, label: int = _LABEL
) -> Markup:
    """A line a figure from `low` to 1 with a ring for the real value and a dot for the synthetic one. label: width of
    the names."""
    width, left = WIDTH + label - _LABEL, label + 8
    room = width - left - 84
    parts = []
    for i, (text, real, synth) in enumerate(rows):
        y = i * _ROW + 9
        at = [None if v is None else left + room * (min(1.0, max(low, v)) - low) / (1 - low) for v in (real, synth)]
        told = " → ".join("–" if v is None else f"{v:.2f}" for v in (real, synth))
        parts.append(
            f'<text x="{label}" y="{y + 4}" text-anchor="end">{escape(short(text, label, _LETTER))}'
            f'<title>{escape(text)}</title></text><path class="axis" d="M{left} {y}h{room}"/>'
        )
        if at[0] is not None and at[1] is not None:
            parts.append(f'<path class="between" d="M{at[0]:.4g} {y}H{at[1]:.4g}"/>')
        if at[0] is not None:
            parts.append(f'<circle class="ring" cx="{at[0]:.4g}" cy="{y}" r="5"/>')
        if at[1] is not None:
            parts.append(f'<circle class="made" cx="{at[1]:.4g}" cy="{y}" r="3"/>')
        parts.append(f'<text x="{width}" y="{y + 4}" text-anchor="end">{told}</text>')
    zero = left + room * (0 - low) / (1 - low)
    mark = f'<path class="axis" d="M{zero:.4g} 0V{len(rows) * _ROW}"/>' if low < 0 else ""
    return Markup(
        f'<svg class="plot" style="max-width:{width * 1.25:.0f}px" viewBox="0 0 {width} {len(rows) * _ROW}" role="img" '
        f'aria-label="{escape(name)}, real and synthetic">{mark}{"".join(parts)}</svg>'
    )
