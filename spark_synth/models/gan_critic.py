"""The critic of one level of a hierarchical GAN: how real packs of (context, rows of a family) look."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spark_synth.models.batch import FamilyBatch
from spark_synth.models.gan_columns import MixedColumns
from spark_synth.models.gan_generator import Places
from spark_synth.models.shared import CodeTable, code_index, code_offsets
from spark_synth.models.spec import GanSpec, GeneratorSpec
from spark_synth.models.temporal import TemporalConv, family_mean


class Critic(nn.Module):
    """A temporal CNN over the rows of families, means over them, and a judgement of `packed` families together (PacGAN:
    Lin et al., 2018). It can be differentiated twice on every device, as the gradient penalty asks."""

    offsets: Tensor

    def __init__(self, spec: GeneratorSpec, columns: MixedColumns) -> None:
        super().__init__()
        self.spec, hidden = spec, spec.hidden
        self.packed = (spec.gan or GanSpec()).packed
        self.register_buffer("offsets", code_offsets(spec.cards), persistent=False)
        self.row = nn.Linear(max(1, columns.width), hidden)
        self.asked = nn.Embedding(sum(spec.cards) + 1, hidden, padding_idx=sum(spec.cards))
        features, above = spec.code_features()
        if spec.context_cards:
            self.context = CodeTable(above, hidden, 1 / len(spec.context_cards) ** 0.5)
        if spec.fixed:
            self.fixed = CodeTable(features[: spec.fixed], hidden, 1 / spec.fixed**0.5)
        if spec.recurrent:
            self.places = Places(hidden)
            self.conv = TemporalConv(hidden)
        self.cell = nn.Linear(hidden, hidden)
        self.family = nn.Linear(3 * hidden, hidden)
        self.judge = nn.Sequential(nn.Linear(self.packed * hidden, hidden), nn.LeakyReLU(0.2), nn.Linear(hidden, 1))

    def forward(self, rows: Tensor, context: Tensor, batch: FamilyBatch, condition: Tensor) -> Tensor:
        """(ceil(B / packed),): scores of packs of families, one after the other; the last one is filled up with the
        first families. rows (N, W): see MixedColumns; context (B, A), condition (B,): see Generator; batch: where these
        rows are, and their fixed sub-columns."""
        family, position = batch.family(), batch.position()
        above = self.asked(condition)
        if self.spec.context_cards:
            above = above + context @ self.context()[:-1]
        state = self.row(rows) + above.index_select(0, family)
        if self.spec.fixed:
            index = code_index(batch.codes[:, : self.spec.fixed], self.offsets[: self.spec.fixed + 1])
            state = state + F.embedding_bag(index, self.fixed(), mode="sum")
        if self.spec.recurrent:
            state = state + self.places(batch.start[family] + position, batch.size[family])
        state = F.leaky_relu(state, 0.2)
        seen = F.leaky_relu(self.cell(state), 0.2)
        if self.spec.recurrent:
            state = self.conv(state, position, batch.lengths[family] - 1 - position)
        means = family_mean(torch.cat([seen, state], 1), family, batch.lengths)
        families = F.leaky_relu(self.family(torch.cat([means, above], 1)), 0.2)
        score: Tensor = self.judge(families[packs(len(families), self.packed, families.device)].flatten(1))[:, 0]
        return score


def packs(families: int, packed: int, device: torch.device) -> Tensor:
    """int64 (ceil(B / packed), packed): which families are judged together."""
    whole = -(-families // packed) * packed
    return (torch.arange(whole, device=device) % max(families, 1)).view(-1, packed)
