"""The processes that train one model together, each on its own rows, and what they agree on (torch.distributed).

Everything that decides what comes next (held-out loss, clock, checkpoints) is agreed: a rank that ended an epoch in
another way than the others would leave them waiting for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from spark_synth.models.batch import FamilyBatch
from spark_synth.models.network import GeneratorNetwork

T = TypeVar("T")


class Ranks:
    """One of `count` processes. All of them call the same methods in the same order; alone, each answers at once."""

    def __init__(self, rank: int = 0, count: int = 1) -> None:
        self.rank, self.count = rank, count

    @property
    def leads(self) -> bool:
        """Whether this one writes files and tells how it goes."""
        return self.rank == 0

    def summed(self, *values: float) -> list[float]:
        """The sums of each value over all ranks, the same to the last bit on each."""
        if self.count == 1:
            return list(values)
        sums = torch.tensor(values, dtype=torch.float64)
        distributed.all_reduce(sums)
        return sums.tolist()

    def told(self, make: Callable[[], T]) -> T:
        """What `make` gives on the leading rank; it is called there alone."""
        if self.count == 1:
            return make()
        told: list[Any] = [make() if self.leads else None]
        distributed.broadcast_object_list(told)
        return told[0]  # type: ignore[no-any-return]

    def stacked(self, own: Tensor) -> Tensor:
        """(count, ...): of every rank its tensor of the same shape, on the CPU."""
        parts = [torch.empty_like(own) for _ in range(self.count)]
        if self.count == 1:
            return own[None]
        distributed.all_gather(parts, own)
        return torch.stack(parts)

    def wait(self) -> None:
        """Until all are here."""
        self.summed(0.0)

    def loss_of(self, model: GeneratorNetwork) -> Callable[[FamilyBatch], Tensor]:
        """The loss of a batch (), whose gradients are averaged over the ranks on the way back."""
        if self.count == 1:
            return model.loss
        # Which parameters a batch has no use for depends on its rows: a segment has no first time, a root no sibling.
        return DistributedDataParallel(_Loss(model), find_unused_parameters=True)

    def weight(self, rows: float, all_rows: float) -> float:
        """What this rank's mean loss over `rows` counts in the mean of the ranks' for a mean over all their rows."""
        return self.count * rows / all_rows


class _Loss(nn.Module):
    """The loss as a module, as DistributedDataParallel wants it."""

    def __init__(self, model: GeneratorNetwork) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: FamilyBatch) -> Tensor:
        return self.model.loss(batch)


ALONE = Ranks()
