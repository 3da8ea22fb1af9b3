"""AdamW with a running mean of the weights that it makes, which tells held-out rows better than those of any one step.

Steps jump about where the loss is low; their mean lies in the middle (Polyak and Juditsky, 1992; Morales-Brotons et
al., 2024, "Exponential moving average of weights in deep learning"). The mean is judged and kept; training goes on
from the weights themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager

import torch
from torch import Tensor

MEAN = "mean"  # its name among the slots of a parameter, which checkpoints keep
EPOCHS = 1.5  # whose steps the mean remembers, at most
SHARE = 0.1  # of the steps so far that it remembers, at most: the first ones say nothing


class AveragedAdamW(torch.optim.AdamW):
    """AdamW; after each step, `average` takes the weights into their mean."""

    @torch.no_grad()
    def average(self, taken: int, steps: int) -> None:
        """taken: steps so far, this one with them; steps: of an epoch."""
        weights = [p for p in self._weights() if p in self.state]
        for p in weights:
            if MEAN not in self.state[p]:
                self.state[p][MEAN] = p.detach().clone()
        remembered = max(1.0, min(EPOCHS * steps, SHARE * taken))
        torch._foreach_lerp_([self.state[p][MEAN] for p in weights], weights, 1 / remembered)

    def averaged(self) -> AbstractContextManager[None]:
        """Within it, the network has the means of its weights; no step may be taken there."""
        known = [p for p in self._weights() if MEAN in self.state.get(p, {})]
        return exchanged(known, [self.state[p][MEAN] for p in known])

    def _weights(self) -> list[Tensor]:
        return [p for group in self.param_groups for p in group["params"]]


@contextmanager
def exchanged(weights: Iterable[Tensor], means: Iterable[Tensor]) -> Iterator[None]:
    """Within it, weights have the values of their means, and these those of the weights."""
    pairs = list(zip(weights, means, strict=True))
    _exchange(pairs)
    try:
        yield
    finally:
        _exchange(pairs)


@torch.no_grad()
def _exchange(pairs: list[tuple[Tensor, Tensor]]) -> None:
    for weight, mean in pairs:
        kept = weight.clone()
        weight.copy_(mean)
        mean.copy_(kept)
