"""One model's training as plain data: what goes into a Spark task, and what comes out of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from spark_synth.feed import PackShape

ALL_EPOCHS = "all epochs"


@dataclass(frozen=True)
class FitJob:
    """One model's training: its packs, what to build, how long.

    table: the name it goes by; columns: sub-columns in the packs, of which the model has all or the first.
    folder: where the model goes; scratch: where checkpoints and progress lie. device: where torch trains it.
    seconds: its share of the time budget; checkpoint_seconds: between two checkpoints within an epoch.
    ranks: processes that train it together, each on its own shard of the packs with `batch_rows` rows a step.
    parent, degrees: of a hierarchical GAN, the table whose rows own these and is trained with them, and how many of the
    first sub-columns, if not fixed, say how many rows a row owns.
    """

    table: str
    columns: int
    packs: str
    folder: str
    scratch: str
    spec: dict[str, Any]
    train_rows: int
    holdout_rows: int
    epochs: int
    batch_rows: int
    seconds: float
    threads: int
    learning_rate: float
    patience: int
    seed: int
    checkpoint_seconds: float
    device: str = "cpu"
    ranks: int = 1
    parent: str = ""
    degrees: int = 0

    @property
    def steps(self) -> int:
        """Steps of an epoch."""
        return math.ceil(self.train_rows / (self.batch_rows * self.ranks))

    @property
    def shape(self) -> PackShape:
        """Of the packs."""
        sets = sum(s["slots"] * len(s["cards"]) for s in self.spec["sets"])
        return PackShape(self.columns, len(self.spec["context_cards"]), len(self.spec["cards"]), sets)


@dataclass
class FitResult:
    """What came out: losses per epoch in nats per row, rows per second, why it ended.

    tables: pairs of columns tied by tables afterwards (see training.ties), and the held-out loss with these.
    placed: host and GPU of the task that trained it, or found it trained.
    """

    table: str
    epochs: int
    seconds: float
    rows_per_second: float
    best_epoch: int
    best_loss: float
    ended: str
    tables: int = 0
    tied_loss: float = math.nan
    placed: str = ""
    history: list[dict[str, float]] = field(default_factory=list)
