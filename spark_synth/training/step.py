"""One step of a table's training, and the optimizer that takes it: torch alone, nothing of where batches come from."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from spark_synth.models.batch import FamilyBatch
from spark_synth.models.network import GeneratorNetwork
from spark_synth.training.average import AveragedAdamW
from spark_synth.training.ranks import ALONE, Ranks

DECAY_EPOCHS = 20  # in which weight decay alone would shrink a weight by e
CLIP = 5.0  # norm of the gradients at most, times the root of the number of sub-columns


def make_optimizer(model: GeneratorNetwork, rate: float, steps: int) -> AveragedAdamW:
    """AdamW whose weight decay is a number of epochs (of `steps` steps): it means the same for small tables and large
    ones (Wang and Aitchison, 2024, "How to set AdamW's weight decay as you scale model and dataset size").

    The biases of the output do not decay: without anything else the network is the frequencies.
    """
    named = list(model.named_parameters())
    outputs = [p for n, p in named if n.startswith("outer_bias.")]
    rest = [p for n, p in named if not n.startswith("outer_bias.")]
    groups: list[dict[str, Any]] = [
        {"params": rest, "weight_decay": 1 / (rate * steps * DECAY_EPOCHS)},
        {"params": outputs, "weight_decay": 0.0},
    ]
    on_gpu = named[0][1].is_cuda  # there one kernel for all weights: a step waits for kernels to start, not for them
    return AveragedAdamW(groups, lr=rate, fused=on_gpu or None)


def train_step(
    model: GeneratorNetwork,
    optimizer: torch.optim.Optimizer,
    batch: FamilyBatch,
    loss_of: Callable[[FamilyBatch], Tensor] | None = None,
    weight: float = 1.0,
) -> Tensor:
    """The loss of a batch, a scalar on the device, after one step of the optimizer on it.

    loss_of, weight: where several processes train the model, see training.ranks.
    """
    loss = (loss_of or model.loss)(batch)
    optimizer.zero_grad(set_to_none=True)
    (loss * weight).backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP * math.sqrt(len(model.spec.cards)))
    optimizer.step()
    return loss.detach()


def held_out_loss(model: GeneratorNetwork, batches: list[FamilyBatch], ranks: Ranks = ALONE) -> float:
    """Mean of GeneratorNetwork.held_out per row, in nats, without dropout; the model is left training.

    ranks: each looks at its share of the batches.
    """
    model.eval()
    with torch.no_grad():
        own = batches[ranks.rank :: ranks.count]
        total, rows = ranks.summed(sum(float(model.held_out(b)) for b in own), sum(b.rows for b in own))
    model.train()
    return total / rows
