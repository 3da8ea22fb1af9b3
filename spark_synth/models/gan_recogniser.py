"""Which noise real rows may have come from: what a generator learns from, beside its critic, while it trains.

A variational encoder (Kingma and Welling, ICLR 2014) whose decoder is the generator (VAE/GAN: Larsen et al., ICML
2016). Noise that stands for real rows keeps all of them within the generator's reach, so that it does not drop codes,
and gives it the dependences within families early, which a critic alone teaches in many more steps. It plays no part
when rows are drawn.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spark_synth.models.batch import FamilyBatch
from spark_synth.models.gan_columns import MixedColumns
from spark_synth.models.shared import CodeTable
from spark_synth.models.spec import GanSpec, GeneratorSpec
from spark_synth.models.temporal import TemporalConv, family_mean

WIDEST = 6.0  # log variance of the noise at least, below zero


class Recogniser(nn.Module):
    """Normal distributions of the noise of families and of their rows."""

    def __init__(self, spec: GeneratorSpec, columns: MixedColumns) -> None:
        super().__init__()
        self.spec, hidden, noise = spec, spec.hidden, (spec.gan or GanSpec()).noise
        self.row = nn.Linear(max(1, columns.width), hidden)
        if spec.context_cards:
            self.context = CodeTable(spec.code_features()[1], hidden, 1 / len(spec.context_cards) ** 0.5)
        if spec.recurrent:
            self.conv = TemporalConv(hidden)
        self.mix = nn.Linear(hidden, hidden)
        self.of_family = nn.Linear(hidden, 2 * noise)
        self.of_row = nn.Linear(2 * hidden, 2 * noise)
        for out in (self.of_family, self.of_row):
            nn.init.zeros_(out.bias)

    def forward(self, rows: Tensor, context: Tensor, batch: FamilyBatch) -> tuple[tuple[Tensor, Tensor], Tensor]:
        """Noise of families (B, Z) and of rows (N, Z) that has been drawn for rows (N, W) in a context (B, A), and the
        divergence from what noise is without them, in nats summed over all."""
        family, position = batch.family(), batch.position()
        state = self.row(rows)
        if self.spec.context_cards:
            state = state + (context @ self.context()[:-1]).index_select(0, family)
        state = F.leaky_relu(state, 0.2)
        if self.spec.recurrent:
            state = self.conv(state, position, batch.lengths[family] - 1 - position)
        state = F.leaky_relu(self.mix(state), 0.2)
        whole = family_mean(state, family, batch.lengths)
        of_family, first = _drawn(self.of_family(whole))
        of_row, second = _drawn(self.of_row(torch.cat([state, whole.index_select(0, family)], 1)))
        return (of_family, of_row), first + second


def _drawn(numbers: Tensor) -> tuple[Tensor, Tensor]:
    """(n, Z) drawn from normal distributions (n, 2 Z), and their divergence from the standard one, summed."""
    mean, spread = numbers.chunk(2, 1)
    spread = spread.clamp(-WIDEST, 2.0)
    divergence = (mean.square() + spread.exp() - 1 - spread).sum() / 2
    return mean + torch.exp(spread / 2) * torch.randn_like(mean), divergence
