"""The training of a hierarchical GAN: all tables of a tree in one Spark task, level by level in turns.

As training.loop for one network: the order of batches follows from the seed, an epoch is as many turns as the largest
table needs, held-out families are compared after each, and the best generators stay. A training that was stopped goes
on at its last checkpoint.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from spark_synth.feed import PackFeed, read_packs
from spark_synth.models.batch import FamilyBatch, concat
from spark_synth.models.hierarchical_gan import HierarchicalGan
from spark_synth.models.spec import GeneratorSpec
from spark_synth.training.adversarial import Alternation, collapsed_columns, revive_codes
from spark_synth.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint, save_weights
from spark_synth.training.device import random_state, set_random_state
from spark_synth.training.job import ALL_EPOCHS, FitJob, FitResult
from spark_synth.training.loop import STALE, tell
from spark_synth.whole import write_json

PATIENT_TURNS = 300  # turns without progress that are waited for, at least
REVIVED_ROWS = 5_000  # rows of a table in whose place codes that die out are looked for
HOLDOUT_ROWS = 10_000  # held-out rows of a table that its fakes are compared with after each epoch
JUDGES = 50  # held-out rows from which a table's best epoch is its own: of a few, chance decides how near fakes are


def fit_hierarchy(jobs: list[FitJob]) -> list[FitResult]:
    """Train the tables of a tree together, owners first; write `weights.safetensors` (of the generator), `spec.json`
    and `result.json` of each into its folder, and say how it went. Finished trees are left as they are."""
    done = [Path(j.folder) / "result.json" for j in jobs]
    if all(d.exists() for d in done):
        return [FitResult(**json.loads(d.read_text())) for d in done]
    for job in jobs:
        for folder in (job.folder, job.scratch):
            Path(folder).mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(max(j.threads for j in jobs))
    torch.manual_seed(jobs[0].seed)
    hierarchy = Hierarchy(jobs)
    hierarchy.run()
    for job in jobs:
        _write(job, hierarchy.gan.levels[job.table].generator.state_dict(), hierarchy.results[job.table])
    return [hierarchy.results[j.table] for j in jobs]


def _write(job: FitJob, generator: dict[str, Tensor], result: FitResult) -> None:
    folder = Path(job.folder)
    save_weights(folder / "weights.safetensors", {f"generator.{k}": v for k, v in generator.items()})
    write_json(folder / "spec.json", job.spec)
    write_json(folder / "result.json", asdict(result))


class Hierarchy:
    """The tables of a tree on their way. Tables with too few rows to hold any out are made by their frequencies."""

    def __init__(self, jobs: list[FitJob]) -> None:
        specs = {j.table: GeneratorSpec.from_json(j.spec) for j in jobs}
        self.jobs = {j.table: j for j in jobs}
        self.trained = {t: j for t, j in self.jobs.items() if j.epochs and j.holdout_rows}
        parents = {j.table: j.parent for j in jobs if j.parent in self.trained}
        self.gan = HierarchicalGan(specs, parents, {j.table: j.degrees for j in jobs}).to(jobs[0].device)
        few = "too few rows: frequencies"
        self.results = {t: FitResult(t, 0, 0.0, 0.0, 0, math.nan, few) for t in self.jobs}
        self.first = jobs[0]
        self.scratch = Path(self.first.scratch)
        self.steps = max((j.steps for j in self.trained.values()), default=0)
        self.epochs = max((j.epochs for j in self.trained.values()), default=0)
        self.limit = max((j.seconds for j in self.trained.values()), default=0.0)
        self.alternation = Alternation(self.gan, self.first.learning_rate)
        self.step, self.epoch, self.stale = 0, 0, 0
        self.best: dict[str, Tensor] = {}
        self.best_distance: dict[str, float] = {}
        self.ended = ALL_EPOCHS
        self.seconds = 0.0
        self.collapsed: dict[str, list[int]] = {}  # sub-columns, as the driver was told last

    def run(self) -> None:
        """Train to the planned epochs, to the end of patience, or until the clock stops it; the best weights of each
        table stay."""
        if not self.trained:
            return
        held = {t: _rows(j, "holdout", HOLDOUT_ROWS) for t, j in self.trained.items()}
        self._resume()
        self.began = time.monotonic() - self.seconds
        self.saved = time.monotonic()
        with ExitStack() as stack:
            feeds = {t: self._feed(stack, j) for t, j in self.trained.items()}
            while self.epoch < self.epochs and self.ended == ALL_EPOCHS:
                losses = self._epoch(feeds)
                self._record(losses, held)
        self.gan.load_state_dict(self.gan.state_dict() | self.best)  # what is not trained is as it was
        for t, job in self.trained.items():
            revive_codes(self.gan.levels[t], _rows(job, "train", REVIVED_ROWS))
        for result in self.results.values():
            result.ended = self.ended if result.epochs else result.ended

    def _feed(self, stack: ExitStack, job: FitJob) -> Iterator[FamilyBatch]:
        feed = stack.enter_context(PackFeed(f"{job.packs}/split=train", job.shape, job.batch_rows, job.seed))
        return islice(feed, self.step, None)

    def _epoch(self, feeds: dict[str, Iterator[FamilyBatch]]) -> dict[str, float]:
        """The turns of the epoch that are left; each table's mean bound on its negative log likelihood, a row."""
        if self.step % self.steps == 0:
            torch.manual_seed(self.first.seed * 1_000_003 + self.epoch)
        sums, turns = dict.fromkeys(feeds, 0.0), 0
        for _ in range(self.step % self.steps, self.steps):
            batches = {t: next(feed).to(self.first.device) for t, feed in feeds.items()}
            for t, loss in self.alternation.turn(batches).evidence.items():
                sums[t] += float(loss)
            self.step, turns = self.step + 1, turns + 1
            due = time.monotonic() - self.saved >= self.first.checkpoint_seconds
            if due and self.step % self.steps:
                self._save()
        return {t: s / max(1, turns) for t, s in sums.items()}

    def _record(self, losses: dict[str, float], held: dict[str, FamilyBatch]) -> None:
        """The end of an epoch: every table's distance from its held-out families, and what it no longer makes."""
        self.epoch += 1
        self.seconds = time.monotonic() - self.began
        with self.alternation.averaged(), torch.no_grad():
            distances = {t: float(self.gan.levels[t].distances(b).sum()) for t, b in held.items()}
            for t in held:
                self._add(t, losses[t], distances[t], collapsed_columns(self.gan, t, [held[t]]))
            self.stale += 1
            for t, distance in self._judged(distances, held).items():
                if distance < self.best_distance.get(t, math.inf):
                    self.best_distance[t], self.stale = distance, 0
                    self._keep(t)
                    self.results[t].best_epoch, self.results[t].best_loss = self.epoch, distances[t]
        if self.stale >= max(1, self.first.patience, math.ceil(PATIENT_TURNS / self.steps)):
            self.ended = STALE
        elif self.seconds > self.limit:
            self.ended = f"stopped by the clock after {self.seconds:.0f} s (its share was exceeded)"
        self._save()

    def _judged(self, distances: dict[str, float], held: dict[str, FamilyBatch]) -> dict[str, float]:
        """By table what decides which epoch is its best: its own distance or, where few rows are held out, the mean
        over the rows of all tables."""
        rows = {t: batch.rows for t, batch in held.items()}
        whole = sum(d * rows[t] for t, d in distances.items()) / sum(rows.values())
        return {t: d if rows[t] >= JUDGES else whole for t, d in distances.items()}

    def _keep(self, table: str) -> None:
        """The weights of a table's level are its best so far. A generator hears its owner's codes, not its weights, so
        those of different epochs go together."""
        prefix = f"parts.{self.gan.names.index(table)}."
        self.best |= {k: v.clone() for k, v in self.gan.state_dict().items() if k.startswith(prefix)}

    def _add(self, table: str, loss: float, distance: float, collapsed: list[int]) -> None:
        """One more epoch of a table, told to the driver."""
        result, job = self.results[table], self.jobs[table]
        result.epochs, result.seconds = self.epoch, self.seconds
        result.rows_per_second = self.epoch * self.steps * job.batch_rows / max(self.seconds, 1e-9)
        entry: dict[str, Any] = {"epoch": self.epoch, "train_loss": loss, "holdout_loss": distance}
        entry |= {"seconds": self.seconds, "collapsed": float(len(collapsed))}
        result.history.append(entry)
        rate = {"rows_per_second": result.rows_per_second}
        tell(Path(job.scratch), {**entry, **rate, "epochs": self.epochs, "limit": self.limit})
        if self.epoch > 1 and collapsed != self.collapsed.get(table, []):
            self.collapsed[table] = collapsed
            tell(Path(job.scratch), {"lacking": collapsed, "epoch": self.epoch})

    def _save(self) -> None:
        state = {
            "results": {t: asdict(r) for t, r in self.results.items()},
            "epoch": self.epoch,
            "stale": self.stale,
            "distances": self.best_distance,
            "turns": self.alternation.turns,
            "seconds": time.monotonic() - self.began,
            "ended": self.ended,
        }
        random = torch.stack([random_state(self.first.device)])
        slots = Slots(self.alternation)
        save_checkpoint(self.scratch, self.gan, slots, Checkpoint(self.step, self.best, random, state))
        self.saved = time.monotonic()

    def _resume(self) -> None:
        def told(text: str) -> None:
            tell(self.scratch, {"note": f"{self.first.table}: {text}"})

        found = load_checkpoint(self.scratch, self.gan, Slots(self.alternation), told)
        if not found:
            return
        state = found.state
        self.step, self.epoch, self.stale, self.best = found.step, state["epoch"], state["stale"], found.best
        self.best_distance = state["distances"]
        self.results = {t: FitResult(**r) for t, r in state["results"].items()}
        self.alternation.turns, self.seconds, self.ended = state["turns"], state["seconds"], state["ended"]
        set_random_state(self.first.device, found.random[0])


def _rows(job: FitJob, split: str, most: int) -> FamilyBatch:
    """About so many rows of one side of the split, on the device of the job."""
    return concat(read_packs(f"{job.packs}/split={split}", job.shape, most)).to(job.device)


class Slots:
    """Both optimizers of an alternation and its running means as the slots of one, as checkpoints hold them."""

    def __init__(self, alternation: Alternation) -> None:
        self.of = alternation

    def state_dict(self) -> dict[str, Any]:
        """Slots by parameter: makers with their means, then critics."""
        whole = self.of.state_dict()
        makers, critics = whole["makers"]["state"], whole["critics"]["state"]
        first = len(self.of.means)
        slots = {i: {**makers.get(i, {}), "mean": mean} for i, mean in enumerate(whole["means"])}
        return {"state": slots | {first + i: s for i, s in critics.items()}}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The inverse of `state_dict`."""
        whole, first = self.of.state_dict(), len(self.of.means)
        slots: dict[int, dict[str, Tensor]] = state_dict["state"]
        makers = {i: {k: v for k, v in s.items() if k != "mean"} for i, s in slots.items() if i < first}
        whole["makers"]["state"] = {i: s for i, s in makers.items() if s}
        whole["critics"]["state"] = {i - first: s for i, s in slots.items() if i >= first}
        whole["means"] = [slots[i]["mean"] for i in range(first)]
        self.of.load_state_dict(whole)
