"""The loop of a table's training: steps, learning rate, held-out loss, best weights, checkpoints.

A training that is stopped anywhere ends with the weights of one that is not (on a CPU bit by bit): the order of batches
follows from the seed alone, and a checkpoint holds the state of the random numbers that steps draw.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from spark_synth.feed import Ahead, PackFeed
from spark_synth.models.batch import FamilyBatch
from spark_synth.models.network import GeneratorNetwork
from spark_synth.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from spark_synth.training.device import random_state, set_random_state
from spark_synth.training.job import ALL_EPOCHS, FitJob, FitResult
from spark_synth.training.ranks import ALONE, Ranks
from spark_synth.training.step import held_out_loss, make_optimizer, train_step

WARMUP = 0.05  # share of the steps in which the learning rate rises
PATIENT_STEPS = 300  # steps without progress that are waited for, at least
STALE = "no better on held-out families"


class Loop:
    """The training of `model` as `job` says; holdout: held-out families, on the device of the job; ranks: who trains it
    with us."""

    def __init__(self, job: FitJob, model: GeneratorNetwork, holdout: list[FamilyBatch], ranks: Ranks = ALONE) -> None:
        self.job, self.model, self.holdout, self.scratch = job, model, holdout, Path(job.scratch)
        self.ranks, self.loss_of = ranks, ranks.loss_of(model)
        self.optimizer = make_optimizer(model, job.learning_rate, job.steps)
        self.best = _copied(model)
        self.result = FitResult(job.table, 0, 0.0, 0.0, 0, held_out_loss(model, holdout, ranks), ALL_EPOCHS)
        self.began = self.saved = time.monotonic()  # as if it had never been stopped; the last checkpoint
        self.step = 0  # taken in all
        self.loss, self.rows = torch.zeros((), dtype=torch.float64, device=job.device), 0  # of the epoch under way

    def run(self) -> FitResult:
        """Train to the planned epochs, to the end of patience, or until the clock stops it; the best weights stay."""
        self._resume()
        job, result = self.job, self.result
        self.began = time.monotonic() - result.seconds
        shard = (self.ranks.rank, self.ranks.count)
        with PackFeed(f"{job.packs}/split=train", job.shape, job.batch_rows, job.seed, shard) as feed:
            batches = islice(feed, self.step, None)
            with Ahead(batches, pinned=True) if self._on_gpu else nullcontext(batches) as ready:
                while result.epochs < job.epochs and result.ended == ALL_EPOCHS:
                    self._epoch(ready)
                    loss, rows = self.ranks.summed(float(self.loss), self.rows)
                    self._record(loss / rows)
        self.model.load_state_dict(self.best)
        result.rows_per_second = result.epochs * job.train_rows / max(result.seconds, 1e-9)
        return result

    def _epoch(self, batches: Iterator[FamilyBatch]) -> None:
        """The steps of the epoch that are left."""
        if self.step % self.job.steps == 0:
            torch.manual_seed((self.job.seed + self.ranks.rank * 1_009) * 1_000_003 + self.result.epochs)
            self.loss, self.rows = torch.zeros_like(self.loss), 0  # a float would wait for a GPU
        for _ in range(self.step % self.job.steps, self.job.steps):
            batch = next(batches).to(self.job.device)
            for group in self.optimizer.param_groups:
                group["lr"] = self._rate()
            due = self.ranks.leads and time.monotonic() - self.saved >= self.job.checkpoint_seconds
            rows, saves = self.ranks.summed(batch.rows, due)
            weight = self.ranks.weight(batch.rows, rows)
            self.loss += train_step(self.model, self.optimizer, batch, self.loss_of, weight).double() * batch.rows
            self.rows += batch.rows
            self.step += 1
            self.optimizer.average(self.step, self.job.steps)
            if saves and self.step % self.job.steps:
                self._save()

    def _rate(self) -> float:
        """Linear warm-up, then a cosine down to 2 % of the peak."""
        whole = self.job.steps * self.job.epochs
        rise = max(1, int(WARMUP * whole))
        if self.step < rise:
            return self.job.learning_rate * (self.step + 1) / rise
        share = (self.step - rise) / max(1, whole - rise)
        return self.job.learning_rate * (0.02 + 0.98 * (1 + math.cos(math.pi * share)) / 2)

    def _record(self, train: float) -> None:
        """The end of an epoch: the mean of the weights is judged, and kept where it is the best."""
        result, job = self.result, self.job
        result.epochs += 1
        with self.optimizer.averaged():
            held_out = held_out_loss(self.model, self.holdout, self.ranks)
            if held_out < result.best_loss:
                result.best_loss, result.best_epoch = held_out, result.epochs
                self.best = _copied(self.model)
        result.seconds = self._seconds()
        entry = {"epoch": result.epochs, "train_loss": train, "holdout_loss": held_out, "seconds": result.seconds}
        result.history.append(entry)
        if result.epochs - result.best_epoch >= self._patience():
            result.ended = STALE
        elif result.seconds > job.seconds:
            result.ended = f"stopped by the clock after {result.seconds:.0f} s (its share was exceeded)"
        rate = result.epochs * job.train_rows / max(result.seconds, 1e-9)
        self._tell({**entry, "epochs": job.epochs, "limit": job.seconds, "rows_per_second": rate})
        self._save()

    def _patience(self) -> int:
        """Epochs without progress that are waited for: small tables need many to take any steps."""
        return max(1, self.job.patience, math.ceil(PATIENT_STEPS / self.job.steps))

    def _seconds(self) -> float:
        """Spent on this training, by the leading rank's clock."""
        return self.ranks.told(lambda: time.monotonic() - self.began)

    def _save(self) -> None:
        self.result.seconds = self._seconds()
        loss, rows = self.ranks.summed(float(self.loss), self.rows)
        random = self.ranks.stacked(random_state(self.job.device))
        if self.ranks.leads:
            state = {"result": asdict(self.result), "loss": loss, "rows": rows}
            save_checkpoint(self.scratch, self.model, self.optimizer, Checkpoint(self.step, self.best, random, state))
        self.saved = time.monotonic()

    def _resume(self) -> None:
        """Go on at the newest checkpoint that is whole; the leading rank looks first and removes those that are not."""
        if not self.ranks.leads:
            self.ranks.wait()
        found = load_checkpoint(
            self.scratch, self.model, self.optimizer, lambda text: self._tell({"note": f"{self.job.table}: {text}"})
        )
        if self.ranks.leads:
            self.ranks.wait()
        if not found:
            return
        self.step, self.best, self.result = found.step, found.best, FitResult(**found.state["result"])
        if self.ranks.leads:  # what all had summed up
            self.loss, self.rows = torch.full_like(self.loss, found.state["loss"]), int(found.state["rows"])
        if len(found.random) != self.ranks.count:  # trained by more or fewer ranks: this epoch goes on with other draws
            return
        set_random_state(self.job.device, found.random[self.ranks.rank])

    @property
    def _on_gpu(self) -> bool:
        return self.job.device.startswith("cuda")

    def _tell(self, entry: dict[str, Any]) -> None:
        if self.ranks.leads:
            tell(self.scratch, entry)


def tell(scratch: Path, entry: dict[str, Any]) -> None:
    """A line for the driver, which reads them as they come."""
    with (scratch / "progress.jsonl").open("a") as lines:
        lines.write(json.dumps(entry) + "\n")


def _copied(model: GeneratorNetwork) -> dict[str, Tensor]:
    return {k: v.clone() for k, v in model.state_dict().items()}
