"""Runs side by side: the parameters that differ, and the figures, the best of each marked."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from spark_synth.config import RunConfig
from spark_synth.errors import UserError
from spark_synth.pipeline.failures import plainly
from spark_synth.pipeline.trained import open_tracker
from spark_synth.progress import Progress
from spark_synth.tracking import RunData, Tracker
from spark_synth.whole import write_whole

_UP = (
    *("score", "shapes", "pairs", "degrees", "associations", "kept", "shape_mean", "pair_mean", "rows_per_second"),
    *("hop1", "hop2", "hop3", "rules"),
)
_UP_BELOW = ("shape", "quality")  # as in TABLE/shape/COLUMN
_UP_FIRST = ("gates", "privacy", "khop")
_DOWN_ENDS = (
    *("_ks", "mad", "_error", "orphans", "problems", "_keys", "copied", "c2st", "c2st_children", "seconds"),
    *("mc_auc", "mc_f1"),
)
_DOWN_BELOW = ("c2st",)
_APART = ("system/", "rows")
_STAGES = ("train", "generate", "evaluate")
WIDTH = 160  # characters of a table that goes into a file or a pipe
STYLE = """
body { font: 14px sans-serif; margin: 2em } table { border-collapse: collapse; margin-bottom: 2em }
th, td { border: 1px solid #ccc; padding: .25em .6em; text-align: right } th:first-child { text-align: left }
.best { font-weight: bold; background: #e3f4e3 }
"""


@dataclass(frozen=True)
class Line:
    """A parameter or figure of all runs, as text, and which of them are the best."""

    name: str
    cells: list[str]
    best: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Comparison:
    """Names of the runs, the parameters that differ between them, and their figures."""

    names: list[str]
    params: list[Line]
    figures: list[Line]


@plainly
def compare(config: RunConfig, runs: Sequence[str], out: Path | None = None) -> None:
    """Show runs (ids, or identifiers of databases) side by side on stdout, and as HTML in the file `out`."""
    if len(runs) < 2:
        raise UserError("compare needs two runs or more: MLflow run ids, or identifiers of databases")
    tracker = open_tracker(config, Progress())
    found = compared(list(runs), [_story(tracker, run) for run in runs])
    console = Console(highlight=False, width=None if Console().is_terminal else WIDTH)
    for title, lines in _parts(found):
        console.print(_table(title, found.names, lines))
    if out is not None:
        write_whole(out, lambda p: p.write_text(to_html(found), encoding="utf-8"))
        console.print(f"HTML: {out}", soft_wrap=True)


def compared(names: list[str], stories: Sequence[Sequence[RunData]]) -> Comparison:
    """What the runs that belong to each name say, side by side; later runs of a story overrule earlier ones."""
    params = [{k: v for run in story for k, v in run.params.items()} for story in stories]
    figures = [{k: v for run in story for k, v in run.metrics.items() if _is_told(k)} for story in stories]
    keys = sorted({k for one in params for k in one})
    differing = [k for k in keys if len({one.get(k) for one in params}) > 1]
    told = [Line(k, [one.get(k, "-") for one in params]) for k in differing]
    rows = sorted({k for one in figures for k in one}, key=lambda k: (not k.startswith("summary/"), k))
    return Comparison(names, told, [_line(k, [one.get(k) for one in figures]) for k in rows])


def to_html(found: Comparison) -> str:
    """The comparison as a page of its own."""
    head = "<th></th>" + "".join(f"<th>{html.escape(n)}</th>" for n in found.names)
    parts = []
    for title, lines in _parts(found):
        rows = "".join(f"<tr><th>{html.escape(x.name)}</th>{_cells(x)}</tr>" for x in lines)
        parts.append(f"<h2>{html.escape(title)}</h2><table><tr>{head}</tr>{rows}</table>")
    return f"<!doctype html><meta charset=utf-8><title>Runs</title><style>{STYLE}</style>{''.join(parts)}"


def _story(tracker: Tracker, run: str) -> list[RunData]:
    """The train, generate and evaluate run that a run id or the identifier of a database leads to, as far as they are
    there."""
    last = tracker.last([], {"stage": "evaluate", "identifier": run})
    last = last or tracker.last([], {"stage": "generate", "identifier": run}) or tracker.get(run)
    stage, identifier = last.tags.get("stage", ""), last.tags.get("identifier")
    if stage not in _STAGES:
        raise UserError(f"run {run} is no train, generate or evaluate run")
    story = {stage: last}
    if stage == "train":
        evaluated = tracker.last([], {"stage": "evaluate", "train_run_id": last.run_id})
        story |= {"evaluate": evaluated} if evaluated else {}
    else:
        story["train"] = tracker.get(last.tags["train_run_id"])
        made = tracker.last([], {"stage": "generate", "identifier": str(identifier)})
        story |= {"generate": made} if made and stage == "evaluate" else {}
    return [story[s] for s in _STAGES if s in story]


def _parts(found: Comparison) -> list[tuple[str, list[Line]]]:
    return [("parameters that differ", found.params), ("figures", found.figures)]


def _line(name: str, values: list[float | None]) -> Line:
    cells = ["-" if v is None else f"{v:,.0f}" if abs(v) >= 1000 else f"{v:.4g}" for v in values]
    there = [v for v in values if v is not None]
    way = _way(name)
    if way == 0 or len(set(there)) < 2:
        return Line(name, cells)
    top = max(there) if way > 0 else min(there)
    return Line(name, cells, frozenset(i for i, v in enumerate(values) if v == top))


def _way(name: str) -> int:
    """1 where more is better, -1 where less is, 0 where neither."""
    parts = name.split("/")
    above = parts[-2] if len(parts) > 1 else ""
    if parts[-1] in _UP or above in _UP_BELOW or parts[0] in _UP_FIRST:
        return 1
    return -1 if parts[-1].endswith(_DOWN_ENDS) or above in _DOWN_BELOW else 0


def _is_told(name: str) -> bool:
    return not name.startswith(_APART[0]) and name.rpartition("/")[2] != _APART[1]


def _table(title: str, names: Sequence[str], lines: Sequence[Line]) -> Table:
    grid = Table(title=title, title_justify="left")
    grid.add_column("")
    for name in names:
        grid.add_column(escape(name), justify="right", overflow="fold")
    for line in lines:
        cells = [f"[bold green]{escape(c)} *[/]" if i in line.best else escape(c) for i, c in enumerate(line.cells)]
        grid.add_row(escape(line.name), *cells)
    return grid


def _cells(line: Line) -> str:
    def cell(i: int, text: str) -> str:
        return f"<td{' class=best' if i in line.best else ''}>{html.escape(text)}</td>"

    return "".join(cell(i, text) for i, text in enumerate(line.cells))
