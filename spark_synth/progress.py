"""What the terminal shows during a run: stages, one line per table at work, notes. All of it on stderr."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from types import TracebackType

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, TaskID, TextColumn
from rich.progress import Progress as Bars
from rich.table import Table

_PLAIN_INTERVAL = 10.0  # seconds between two lines about the same table where there is no terminal
_silent = False


def set_quiet(quiet: bool) -> None:
    """Whether every `Progress` made from now on says nothing, unless told otherwise."""
    global _silent
    _silent = quiet


def is_quiet() -> bool:
    """Whether nothing is to be told on the way."""
    return _silent


class Stage:
    """A running stage: as a context manager it reports how long the stage took."""

    def __init__(self, progress: Progress, name: str) -> None:
        self._progress = progress
        self._name = name
        self._began = time.monotonic()

    def __enter__(self) -> Stage:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        took = duration(time.monotonic() - self._began)
        self._progress.close_bars()
        self._progress.note(f"{self._name}: {'done in' if kind is None else 'stopped after'} {took}")


class Progress:
    """Live bars on a terminal, plain lines (at most one per table every ten seconds) elsewhere. Safe across threads."""

    def __init__(self, quiet: bool | None = None, console: Console | None = None) -> None:
        self._quiet = _silent if quiet is None else quiet
        self._console = console or Console(stderr=True, highlight=False, quiet=self._quiet)
        self._began = time.monotonic()
        self._lock = threading.RLock()
        self._bars: Bars | None = None
        self._tasks: dict[str, TaskID] = {}
        self._told: dict[str, float] = {}

    def stage(self, name: str) -> Stage:
        """Print the header of a stage with the time since the start; use as `with progress.stage("train"):`."""
        with self._lock:
            self.close_bars()
            elapsed = duration(time.monotonic() - self._began)
            self._console.print(f"[bold]{escape(name)}[/bold] [dim](+{elapsed})[/dim]")
        return Stage(self, name)

    def note(self, text: str) -> None:
        """One line of plain information."""
        self._console.print(f"  {escape(text)}", soft_wrap=True)

    def epoch(
        self,
        table: str,
        epoch: int,
        epochs: int,
        loss: float,
        holdout: float | None = None,
        rows_per_second: float | None = None,
        seconds_left: float | None = None,
    ) -> None:
        """A table finished a training epoch."""
        parts = [f"epoch {epoch}/{epochs}", f"loss {loss:.3f}"]
        if holdout is not None:
            parts.append(f"held-out {holdout:.3f}")
        self._line(table, epoch, epochs, parts + _speed(rows_per_second, seconds_left))

    def rows(
        self,
        table: str,
        done: int,
        total: int,
        rows_per_second: float | None = None,
        seconds_left: float | None = None,
    ) -> None:
        """A table has `done` of `total` rows written."""
        self._line(table, done, total, [f"{done:,}/{total:,} rows", *_speed(rows_per_second, seconds_left)])

    def done(self, table: str, text: str) -> None:
        """A table is ready: its bar goes, one line stays."""
        with self._lock:
            task = self._tasks.pop(table, None)
            if self._bars is not None and task is not None:
                self._bars.remove_task(task)
            self._told.pop(table, None)
            self.note(f"{table}: {text}")

    def summary(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """A table of results; every column but the first is set to the right."""
        with self._lock:
            self.close_bars()
            grid = Table(title=title, title_justify="left", box=box.SIMPLE)
            for i, name in enumerate(columns):
                grid.add_column(name, justify="left" if i == 0 else "right")
            for row in rows:
                grid.add_row(*(escape(cell) for cell in row))
            self._console.print(grid)

    def close_bars(self) -> None:
        """Take the live bars off the terminal; the next update brings them back."""
        with self._lock:
            if self._bars is not None:
                self._bars.stop()
            self._bars = None
            self._tasks.clear()
            self._told.clear()

    def _line(self, table: str, done: float, total: float, parts: list[str]) -> None:
        if self._quiet:
            return
        with self._lock:
            if self._console.is_terminal:
                self._move_bar(table, done, total, ", ".join(parts))
            elif time.monotonic() - self._told.get(table, float("-inf")) >= _PLAIN_INTERVAL:
                self._told[table] = time.monotonic()
                self.note(f"{table}: {', '.join(parts)}")

    def _move_bar(self, table: str, done: float, total: float, status: str) -> None:
        if self._bars is None:
            columns = [TextColumn("  {task.description}"), BarColumn(20), TextColumn("{task.fields[status]}")]
            self._bars = Bars(*columns, console=self._console, transient=True)
            self._bars.start()
        if table not in self._tasks:
            self._tasks[table] = self._bars.add_task(escape(table), status="")
        self._bars.update(self._tasks[table], completed=done, total=total, status=status)


def _speed(rows_per_second: float | None, seconds_left: float | None) -> list[str]:
    parts = [f"{rows_per_second:,.0f} rows/s"] if rows_per_second is not None else []
    return parts + ([f"{duration(seconds_left)} left"] if seconds_left is not None else [])


def duration(seconds: float) -> str:
    """`7.2 s`, `3 min 05 s`, `2 h 10 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"
