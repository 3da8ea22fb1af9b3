"""The diagram of tables and keys as inline SVG. What belongs together is told by ids, which report.js highlights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from markupsafe import Markup, escape

from spark_synth.evaluation.report.keys import Keys, Reference
from spark_synth.evaluation.report.layout import GAP_X, place
from spark_synth.evaluation.report.words import short

_WIDTH, _HEAD, _ROW, _FOOT = 224, 30, 20, 6
_LETTER, _BOLD = 6.6, 7.7  # width of a letter of keys and of names
_MARGIN = 44
_MANY = 60  # boxes, above which lines are drawn fainter


@dataclass(frozen=True)
class Face:
    """How a table looks: the class of its grade, the few letters beside its name, where its name leads to, and what is
    said of it in full."""

    shade: str
    mark: str
    href: str | None
    told: str


def diagram(keys: Keys, faces: Mapping[str, Face], title: str, centre: str | None = None) -> Markup:
    """Boxes of tables with a row a key, which can be focused, and a line a foreign key."""
    sizes = {t: (float(_WIDTH), float(_HEAD + _ROW * len(rows) + _FOOT)) for t, rows in keys.own.items()}
    places, (width, height) = place(sizes, [(r.parent, r.table) for r in keys.references])
    number = {(t, k): i for i, (t, k) in enumerate((t, k) for t, rows in keys.own.items() for k in rows)}
    kinds = _kinds(keys)
    lines = "".join(_line(r, keys, places, number) for r in keys.references)
    boxes = "".join(
        _box(t, rows, places[t], sizes[t][1], faces[t], number, kinds, t in keys.primary, t == centre)
        for t, rows in keys.own.items()
    )
    whole = (width + 2 * _MARGIN, height + 2 * 8)
    kind = "diagram many" if len(sizes) > _MANY else "diagram"
    return Markup(
        f'<svg class="{kind}" viewBox="-{_MARGIN} -8 {whole[0]:.0f} {whole[1]:.0f}" width="{whole[0]:.0f}" '
        f'height="{whole[1]:.0f}" role="group" aria-label="{escape(title)}">'
        f'<g class="edges" aria-hidden="true">{lines}</g>{boxes}</svg>'
    )


def _kinds(keys: Keys) -> dict[tuple[str, tuple[str, ...]], list[Reference]]:
    """The references of each key that is a foreign one."""
    found: dict[tuple[str, tuple[str, ...]], list[Reference]] = {}
    for r in keys.references:
        found.setdefault((r.table, r.columns), []).append(r)
    return found


def _box(
    table: str,
    rows: list[tuple[str, ...]],
    at: tuple[float, float],
    height: float,
    face: Face,
    number: Mapping[tuple[str, tuple[str, ...]], int],
    kinds: Mapping[tuple[str, tuple[str, ...]], list[Reference]],
    primary: bool,
    centre: bool,
) -> str:
    name = f'<text class="name" x="14" y="20">{escape(short(table, _WIDTH - 56, _BOLD))}</text>'
    if face.href:
        name = f'<a href="{escape(face.href)}" aria-label="{escape(table)}: {escape(face.told)}">{name}</a>'
    inside = "".join(
        _key(table, columns, i, number[table, columns], primary and i == 0, kinds.get((table, columns), []))
        for i, columns in enumerate(rows)
    )
    return (
        f'<g class="table {face.shade}{" centre" if centre else ""}" data-name="{escape(table.lower())}" '
        f'transform="translate({at[0]:.0f} {at[1]:.0f})"><title>{escape(table)}: {escape(face.told)}</title>'
        f'<rect class="box" width="{_WIDTH}" height="{height:.0f}" rx="6"/>'
        f'<path class="stripe" d="M3 7v{height - 14:.0f}"/>{name}'
        f'<text class="mark" x="{_WIDTH - 10}" y="20" text-anchor="end">{escape(face.mark)}</text>{inside}</g>'
    )


def _key(
    table: str, columns: tuple[str, ...], row: int, number: int, primary: bool, references: list[Reference]
) -> str:
    names = ", ".join(columns)
    what = [("PK", "primary key")] * primary + [("FK", "foreign key")] * bool(references) or [("key", "key")]
    leads = " and ".join(f"{r.parent} ({', '.join(r.parent_columns)})" for r in references)
    told = f"{table}: {' and '.join(long for _, long in what)} {names}{f', refers to {leads}' if leads else ''}"
    kind = "·".join(letters for letters, _ in what)
    return (
        f'<g class="k" tabindex="0" role="button" aria-pressed="false" data-k="{number}" aria-label="{escape(told)}" '
        f'transform="translate(0 {_HEAD + _ROW * row})"><title>{escape(told)}</title>'
        f'<rect x="8" width="{_WIDTH - 16}" height="{_ROW - 1}" rx="3"/><text class="kind" x="14" y="14">{kind}</text>'
        f'<text x="50" y="14">{escape(short(names, _WIDTH - 66, _LETTER))}</text></g>'
    )


def _line(
    r: Reference,
    keys: Keys,
    places: Mapping[str, tuple[float, float]],
    number: Mapping[tuple[str, tuple[str, ...]], int],
) -> str:
    """From the right of the parent to the left of the child; to its right where it does not stand further right."""
    (px, py), (cx, cy) = places[r.parent], places[r.table]
    y1 = py + _HEAD + _ROW * (keys.own[r.parent].index(r.parent_columns) + 0.5)
    y2 = cy + _HEAD + _ROW * (keys.own[r.table].index(r.columns) + 0.5)
    x1 = px + _WIDTH
    if cx > px:
        bend = max(0.5 * GAP_X, 0.35 * (cx - x1))
        path = f"M{x1:.0f} {y1:.0f}C{x1 + bend:.0f} {y1:.0f} {cx - bend:.0f} {y2:.0f} {cx:.0f} {y2:.0f}"
    else:
        x2 = cx + _WIDTH
        out = max(x1, x2) + 0.55 * GAP_X
        path = f"M{x1:.0f} {y1:.0f}C{out:.0f} {y1:.0f} {out:.0f} {y2:.0f} {x2:.0f} {y2:.0f}"
    kind = f"edge{' owner' if r.owner else ''}{' late' if r.late or cx <= px else ''}"
    pair = f'data-a="{number[r.table, r.columns]}" data-b="{number[r.parent, r.parent_columns]}"'
    return f'<path class="{kind}" {pair} d="{path}"/>'
