"""The training of one table, as it runs inside a Spark task: plain data in, plain data out, no session."""

from __future__ import annotations

import json
import math
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from spark_synth.feed import PackFeed, PackShape, read_packs
from spark_synth.models.autoregressive import Autoregressive
from spark_synth.models.batch import FamilyBatch, concat
from spark_synth.models.marginals import match_marginals
from spark_synth.models.spec import GeneratorSpec
from spark_synth.training.associations import with_associations
from spark_synth.training.checkpoint import load_checkpoint, save_checkpoint, save_weights
from spark_synth.training.step import held_out_loss, make_optimizer, train_step
from spark_synth.training.ties import with_ties

HOLDOUT_ROWS = 50_000  # held-out rows looked at after each epoch
SEEN_ROWS = 50_000  # training rows that the features of codes and the final biases are taken from
WARMUP = 0.05  # share of the steps in which the learning rate rises
PATIENT_STEPS = 300  # steps without progress that are waited for, at least
DROP, MAX_DROPS = 0.3, 3  # factor on the learning rate where progress stops, and how often
STALE = "no better on held-out families"


@dataclass(frozen=True)
class FitJob:
    """One model's training: its packs, what to build, how long.

    table: the name it goes by; columns: sub-columns in the packs, of which the model has all or the first.
    folder: where the model goes; scratch: where checkpoints and progress lie. device: where torch trains it.
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
    device: str = "cpu"


@dataclass
class FitResult:
    """What came out: losses per epoch in nats per row, rows per second, why it ended.

    drops: how often the learning rate was lowered for want of progress, the last time after epoch `last_drop`.
    tables: pairs of columns tied by tables afterwards (see training.ties), and the held-out loss with these.
    """

    table: str
    epochs: int
    seconds: float
    rows_per_second: float
    best_epoch: int
    best_loss: float
    ended: str
    drops: int = 0
    last_drop: int = 0
    tables: int = 0
    tied_loss: float = math.nan
    history: list[dict[str, float]] = field(default_factory=list)


def fit_table(job: FitJob) -> FitResult:
    """Train, write `weights.safetensors`, `spec.json` and `result.json` into `job.folder`, and say how it went.

    A finished table is left as it is; an unfinished one continues at its last checkpoint. Without enough rows the
    weights stay at their start, which is the smoothed frequency model.
    """
    folder, scratch = Path(job.folder), Path(job.scratch)
    if (folder / "result.json").exists():
        return FitResult(**json.loads((folder / "result.json").read_text()))
    folder.mkdir(parents=True, exist_ok=True)
    scratch.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(job.threads)
    torch.manual_seed(job.seed)
    spec = GeneratorSpec.from_json(job.spec)
    shape = _shape(job, spec)
    result = FitResult(job.table, 0, 0.0, 0.0, 0, math.nan, "too few rows: frequencies")
    if job.epochs and job.holdout_rows:
        seen = read_packs(f"{job.packs}/split=train", shape, SEEN_ROWS)
        own, above = spec.code_features()  # those of their order, without what associations add
        spec = with_associations(spec, seen)
        model = Autoregressive(spec).to(job.device)
        fit = _Fit(job, spec, model, scratch)
        result = fit.run()
        seen = [b.to(job.device) for b in _rebatch(seen, job.batch_rows)]
        model = with_ties(model, own + above, seen, fit.holdout)
        result.tables = sum(len(s) for s in model.spec.pairs.values())
        result.tied_loss = held_out_loss(model, fit.holdout)
        match_marginals(model, seen + fit.holdout)
        spec = model.spec
    else:
        model = Autoregressive(spec)
    save_weights(folder / "weights.safetensors", model.state_dict())
    (folder / "spec.json").write_text(json.dumps(spec.to_json()))
    (folder / "result.json").write_text(json.dumps(asdict(result)))
    return result


class _Fit:
    """The loop: steps, learning rate, held-out loss, best weights, checkpoints."""

    def __init__(self, job: FitJob, spec: GeneratorSpec, model: Autoregressive, scratch: Path) -> None:
        self.job, self.model, self.scratch = job, model, scratch
        self.shape = _shape(job, spec)
        self.steps = math.ceil(job.train_rows / job.batch_rows)
        self.optimizer = make_optimizer(model, job.learning_rate, self.steps)
        self.holdout = read_packs(f"{job.packs}/split=holdout", self.shape, HOLDOUT_ROWS)
        self.holdout = [b.to(job.device) for b in _rebatch(self.holdout, job.batch_rows)]
        self.best = {k: v.clone() for k, v in model.state_dict().items()}
        self.result = FitResult(job.table, 0, 0.0, 0.0, 0, held_out_loss(model, self.holdout), "all epochs")

    def run(self) -> FitResult:
        """Train to the planned epochs, to the end of patience, or until the clock stops it; the best weights stay."""
        self._resume()
        job, result, began = self.job, self.result, time.monotonic()
        before = result.seconds
        with PackFeed(f"{job.packs}/split=train", self.shape, job.batch_rows, job.seed) as feed:
            batches = iter(feed)
            for _ in range(result.epochs * self.steps):  # a resumed fit goes on where the order of batches was
                next(batches)
            for epoch in range(result.epochs, job.epochs):
                torch.manual_seed(job.seed * 1_000_003 + epoch)
                train = self._epoch(epoch, batches)
                result.seconds = before + time.monotonic() - began
                self._record(epoch, train, held_out_loss(self.model, self.holdout))
                if result.ended == STALE:
                    break
                if result.seconds > job.seconds:
                    result.ended = f"stopped by the clock after {result.seconds:.0f} s (its share was exceeded)"
                    break
        self.model.load_state_dict(self.best)
        result.rows_per_second = result.epochs * job.train_rows / max(result.seconds, 1e-9)
        return result

    def _epoch(self, epoch: int, batches: Any) -> float:  # noqa: ANN401 - an iterator of FamilyBatch
        total, rows = torch.zeros((), dtype=torch.float64, device=self.job.device), 0  # a float would wait for a GPU
        for step in range(self.steps):
            batch: FamilyBatch = next(batches).to(self.job.device)
            for group in self.optimizer.param_groups:
                group["lr"] = self._rate(epoch * self.steps + step)
            total += train_step(self.model, self.optimizer, batch).double() * batch.rows
            rows += batch.rows
        return float(total) / rows

    def _rate(self, step: int) -> float:
        """Linear warm-up, then a cosine down to 2 % of the peak; lower where progress on held-out families stopped."""
        whole = self.steps * self.job.epochs
        rise = max(1, int(WARMUP * whole))
        peak = self.job.learning_rate * DROP**self.result.drops
        if step < rise:
            return peak * (step + 1) / rise
        share = (step - rise) / max(1, whole - rise)
        return peak * (0.02 + 0.98 * (1 + math.cos(math.pi * share)) / 2)

    def _record(self, epoch: int, train: float, held_out: float) -> None:
        result = self.result
        result.epochs = epoch + 1
        entry = {"epoch": epoch + 1, "train_loss": train, "holdout_loss": held_out, "seconds": result.seconds}
        result.history.append(entry)
        if held_out < result.best_loss:
            result.best_loss, result.best_epoch = held_out, epoch + 1
            self.best = {k: v.clone() for k, v in self.model.state_dict().items()}
        elif epoch + 1 - max(result.best_epoch, result.last_drop) >= self._patience():
            self._drop_rate(epoch + 1)
        with (self.scratch / "progress.jsonl").open("a") as lines:
            rate = result.epochs * self.job.train_rows / max(result.seconds, 1e-9)
            lines.write(json.dumps({**entry, "epochs": self.job.epochs, "rows_per_second": rate}) + "\n")
        save_checkpoint(self.scratch, self.model, self.optimizer, self.best, asdict(result) | {"epoch": epoch + 1})

    def _patience(self) -> int:
        """Epochs without progress before the learning rate is lowered: small tables need many to take any steps."""
        return max(1, self.job.patience // 2, math.ceil(PATIENT_STEPS / self.steps))

    def _drop_rate(self, epoch: int) -> None:
        """Go on from the best weights with smaller steps; give up after MAX_DROPS times."""
        if self.result.drops == MAX_DROPS:
            self.result.ended = STALE
            return
        self.result.drops, self.result.last_drop = self.result.drops + 1, epoch
        self.model.load_state_dict(self.best)
        self.optimizer.state.clear()

    def _resume(self) -> None:
        found = load_checkpoint(self.scratch, self.model, self.optimizer)
        if found:
            self.best, state = found
            self.result = FitResult(**{k: v for k, v in state.items() if k not in ("epoch", "file")})


def _shape(job: FitJob, spec: GeneratorSpec) -> PackShape:
    sets = sum(s.slots * len(s.cards) for s in spec.sets)
    return PackShape(job.columns, len(spec.context_cards), len(spec.cards), sets)


def _rebatch(packs: list[FamilyBatch], rows: int) -> list[FamilyBatch]:
    """The same families in batches of about `rows` rows."""
    out: list[FamilyBatch] = []
    waiting: list[FamilyBatch] = []
    for pack in packs:
        waiting.append(pack)
        if sum(p.rows for p in waiting) >= rows:
            out.append(concat(waiting))
            waiting = []
    return out + ([concat(waiting)] if waiting else [])
