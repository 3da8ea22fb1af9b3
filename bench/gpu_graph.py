"""A whole training step recorded once as a CUDA graph and replayed: what is left when no kernel waits for the host.

    python -m bench.gpu_graph MODEL DATA

A graph has fixed shapes. Batches are padded with families whose codes are all absent, which have no loss, and all
families to the longest segment there is. Prints rows per second, and the held-out loss beside that of plain steps.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import time
from pathlib import Path

import torch
from torch import Tensor

from bench.gpu import BATCH_ROWS, RATE, SAME_STEPS, USUAL_ROWS, WINDOW_SECONDS, mode, network
from bench.gpu_data import FIELDS, batches, load
from spark_synth.models.batch import ABSENT, FamilyBatch
from spark_synth.models.spec import GeneratorSpec, read_spec
from spark_synth.training.step import CLIP, held_out_loss, make_optimizer, train_step


def padded(some: list[FamilyBatch], longest: int) -> list[FamilyBatch]:
    """The batches with as many rows and families each."""
    least = min(b.rows for b in some)
    families = max(len(b.lengths) for b in some) + math.ceil((max(b.rows for b in some) - least) / longest) + 2
    rows = max(b.rows for b in some) + families
    return [_padded(b, rows, families) for b in some]


def _padded(batch: FamilyBatch, rows: int, families: int) -> FamilyBatch:
    more, extra = rows - batch.rows, families - len(batch.lengths)
    lengths = torch.full((extra,), more // extra)
    lengths[: more % extra] += 1
    return FamilyBatch(
        torch.cat([batch.codes, torch.full((more, batch.codes.shape[1]), ABSENT)]),
        torch.cat([batch.context, torch.full((extra, batch.context.shape[1]), ABSENT)]),
        torch.cat([batch.lengths, lengths]),
        torch.cat([batch.start, torch.zeros(extra, dtype=torch.int64)]),
        torch.cat([batch.size, lengths]),
    )


class GraphStep:
    """train_step for batches of one shape."""

    def __init__(self, spec: GeneratorSpec, first: FamilyBatch, rows: int, longest: int) -> None:
        self.model = network(spec, "cuda")
        groups = [{**g, "capturable": True} for g in make_optimizer(self.model, RATE, 100).param_groups]
        self.optimizer = torch.optim.AdamW(groups, lr=RATE)
        self.batch, self.rows = first.to("cuda"), torch.tensor(float(rows), device="cuda")
        self.batch.__dict__["longest"] = longest
        start = {k: v.clone() for k, v in self.model.state_dict().items()}
        other = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        torch.cuda.synchronize()
        with torch.cuda.stream(other):
            for _ in range(3):  # before it is recorded, so that nothing is allocated or chosen anew
                self._step()
        torch.cuda.synchronize()
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self._step()
        self.model.load_state_dict(start)
        for slots in self.optimizer.state.values():
            for value in slots.values():
                value.zero_()

    def __call__(self, batch: FamilyBatch, rows: int) -> None:
        """One step; rows: those of the batch that are real."""
        for field in FIELDS:
            getattr(self.batch, field).copy_(getattr(batch, field), non_blocking=True)
        self.rows.fill_(float(rows))
        self.graph.replay()

    def _step(self) -> None:
        loss: Tensor = self.model.column_losses(self.batch).sum() / self.rows
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), CLIP * math.sqrt(len(self.model.spec.cards)))
        self.optimizer.step()


def speed(spec: GeneratorSpec, whole: FamilyBatch, rows: int) -> float:
    """Real rows per second."""
    longest, fed = whole.longest, batches(whole, rows, 16 if rows < 10_000 else 4)
    real, fed = [b.rows for b in fed], padded(fed, longest)
    step = GraphStep(spec, fed[0], real[0], longest)
    rates = []
    for _ in range(5):
        began, done, i = time.perf_counter(), 0, 0
        while time.perf_counter() - began < WINDOW_SECONDS:
            step(fed[i % len(fed)], real[i % len(fed)])
            done, i = done + real[i % len(fed)], i + 1
            if i % 8 == 0:
                torch.cuda.synchronize()  # or the host runs ahead of the clock
        torch.cuda.synchronize()
        rates.append(done / (time.perf_counter() - began))
    return sorted(rates)[2]


def losses(spec: GeneratorSpec, whole: FamilyBatch, held: FamilyBatch) -> tuple[float, float]:
    """Held-out loss after as many steps of either kind, without dropout."""
    spec = dataclasses.replace(spec, dropout=0.0)
    plain, fed = network(spec, "cuda"), batches(whole, USUAL_ROWS, SAME_STEPS)
    optimizer = make_optimizer(plain, RATE, 100)
    for batch in fed:
        train_step(plain, optimizer, batch.to("cuda"))
    same = padded(fed, whole.longest)
    step = GraphStep(spec, same[0], fed[0].rows, whole.longest)
    for batch, real in zip(same, fed, strict=True):
        step(batch, real.rows)
    looked_at = [b.to("cuda") for b in batches(held, USUAL_ROWS, 5)]
    return held_out_loss(plain, looked_at), held_out_loss(step.model, looked_at)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("data", type=Path)
    args = parser.parse_args()
    spec = dataclasses.replace(read_spec(args.model), pairs={})  # tables of pairs come after training
    whole, held = load(args.data, "train", spec), load(args.data, "holdout", spec)
    with mode("tf32"):
        for rows in BATCH_ROWS:
            print(rows, "rows a batch:", round(speed(spec, whole, rows)), "rows/s", flush=True)  # noqa: T201
    with mode("float32"):
        print("held-out loss of plain steps, of the graph:", *losses(spec, whole, held), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
