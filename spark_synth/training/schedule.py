"""How long each table trains: a share of the time budget, turned into a fixed number of epochs.

Epochs are planned from a nominal speed and not from the clock, so that two runs of one configuration train the same
number of steps and give the same weights. The clock only stops a table that runs far over its share.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

# Cells (rows x sub-columns x hidden units) that one modest CPU core trains per second.
NOMINAL_CELLS = 24e6
THREAD_GAIN = 0.7  # what each further core of a table that has all of them adds to its speed
ROW_OVERHEAD = 12  # sub-columns' worth of work that every row costs besides (recurrence, loading)
MIN_TRAIN_ROWS = 40  # below this the smoothed frequencies are the model
MIN_STEPS = 32  # steps an epoch should have at least
MIN_ROWS = 16  # rows of a step, at least
JUDGED_ROWS = 128  # the same where critics judge them: a turn of 30 rows takes as long
NARROWEST = 32  # hidden units of the smallest tables
COUNTED = ("copula",)  # families that are computed in a pass over the rows instead of being trained
GRACE = 1.5  # how far a table may overrun its share before the clock stops it


@dataclass(frozen=True)
class Cost:
    """Size of one table's training set."""

    table: str
    rows: int
    columns: int
    hidden: int
    alone: bool = False  # whether one process must train it, however large it is, as it does against critics

    @property
    def cells(self) -> float:
        """Work of one epoch."""
        return float(self.rows * (self.columns + ROW_OVERHEAD) * self.hidden)


@dataclass(frozen=True)
class Share:
    """Epochs, rows per batch of a rank, seconds before the clock stops it, torch threads of a rank, seconds that the
    epochs take at the nominal speed, ranks."""

    epochs: int
    batch_rows: int
    seconds: float
    threads: int
    nominal: float
    ranks: int = 1


@dataclass(frozen=True)
class Places:
    """Where tables train.

    slots: tasks side by side on all executors; threads: cores that one task may use, those of its executor; ranks:
    processes that train a table together if it has at least `large` rows.
    """

    slots: int
    threads: int
    ranks: int = 1
    large: int = 0

    def ranks_of(self, rows: int) -> int:
        """Processes that train a table of that many rows."""
        return self.ranks if rows >= self.large else 1


def plan_shares(
    costs: list[Cost], minutes: float, places: Places, max_epochs: int, batch_rows: int
) -> dict[str, Share]:
    """Shares of `minutes` for tables trained side by side, most expensive first.

    Work that would run shorter than its share leaves the rest to the others; no table gets more than `minutes`. Tables
    that several ranks train come one after the other, and share what the others leave of the whole time.
    """
    most = minutes * 60
    trained = [c for c in costs if c.rows >= MIN_TRAIN_ROWS]
    large = [c for c in trained if places.ranks_of(c.rows) > 1 and not c.alone]
    small = {c.table: min(c.cells * max_epochs / NOMINAL_CELLS, most) for c in trained if c not in large}
    total, cells = sum(small.values()), sum(c.cells for c in large)
    room = most * places.slots / 2 if large else most * places.slots  # of the cores' time; large ones come first
    scale = min(1.0, room / total) if total else 1.0
    shares = {}
    for cost in costs:
        ranks = places.ranks_of(cost.rows) if cost in large else 1
        seconds, threads = small.get(cost.table, 0.0) * scale, 1
        if ranks > 1:
            seconds = (most - total * scale / places.slots) * cost.cells / cells
            threads = max(1, min(places.threads, places.slots // ranks))
        elif not large and small.get(cost.table, 0.0) > 0.5 * total:
            threads = min(places.threads, places.slots)
        if ranks == 1 and threads > 1:  # the others run beside it, on cores that it counts as its own
            seconds = min(seconds, most - (total * scale - seconds) / places.slots)
        speed = NOMINAL_CELLS * (1 + THREAD_GAIN * (threads - 1)) * ranks
        epochs = int(min(max_epochs, max(1, seconds * speed // cost.cells))) if seconds else 0
        nominal = epochs * cost.cells / speed
        batch = _batch(cost, batch_rows, ranks)
        shares[cost.table] = Share(epochs, batch, max(60.0, seconds * GRACE), threads, nominal, ranks)
    return shares


def counted_share(cost: Cost) -> Share:
    """The share of a table that is counted, not trained: one pass, if it has rows enough."""
    return Share(int(cost.rows >= MIN_TRAIN_ROWS), 0, math.inf, 1, 0.0)


def head_width(hidden: int, most: int) -> int:
    """Width of a column's own layer in a network of `hidden` units, `most` at most."""
    return max(1, min(most, hidden // 4))


def network_width(rows: int, columns: int, most: int) -> int:
    """Hidden units for a training set: four times the fourth root of its cells, to the nearest power of two, `most` at
    most. Wider networks overfit small tables before they have learnt what families share, and cost time for nothing.
    """
    wanted = 1 << round(math.log2(4 * max(1, rows * columns) ** 0.25))
    return min(most, max(NARROWEST, wanted))


def _batch(cost: Cost, batch_rows: int, ranks: int) -> int:
    """Rows of a rank per step: enough steps per epoch for small tables, bounded activations for wide ones."""
    by_memory = int(4e7 / (cost.columns * cost.hidden)) or 1
    least = max(MIN_ROWS, min(cost.rows, JUDGED_ROWS)) if cost.alone else MIN_ROWS
    return max(least, min(batch_rows, cost.rows // (MIN_STEPS * ranks), by_memory))
