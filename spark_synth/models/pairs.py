"""Tables of pairs of codes that are added to a generator's logits: the strongest ties of two columns, said outright.

A table of log-linear interactions (Agresti, 2013, chapter 9) by the side of the network: logits of sub-column j gain
one row for the code of each of its sources, which are columns of the row's surroundings: its own, those of its
family's context, and those of the sibling before it, counted in this order.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spark_synth.models.batch import ABSENT, FamilyBatch, of_sibling
from spark_synth.models.shared import code_index, code_offsets, places
from spark_synth.models.spec import GeneratorSpec


@dataclass(frozen=True)
class Surroundings:
    """What rows may depend on: their own codes int64 (N, C), their families' context (N, P), the codes of the siblings
    before them (N, C), ABSENT where there is none.
    """

    codes: Tensor
    context: Tensor
    before: Tensor

    @staticmethod
    def of(batch: FamilyBatch) -> Surroundings:
        """Of all rows of a batch."""
        before = of_sibling(batch.codes, batch.position(), ABSENT)
        return Surroundings(batch.codes, batch.context.index_select(0, batch.family()), before)

    def take(self, sources: list[int]) -> Tensor:
        """int64 (N, len(sources)): these columns."""
        own, above = self.codes.shape[1], self.codes.shape[1] + self.context.shape[1]
        device = self.codes.device
        parts = [
            self.codes[:, places(tuple(i for i in sources if i < own), device)],
            self.context[:, places(tuple(i - own for i in sources if own <= i < above), device)],
            self.before[:, places(tuple(i - above for i in sources if i >= above), device)],
        ]
        return torch.cat(parts, 1)


class PairTerms(nn.Module):
    """The tables (sum of the sources' cards, K) of some sub-columns, zero until they are fitted; sources ascend."""

    def __init__(self, spec: GeneratorSpec) -> None:
        super().__init__()
        cards = spec.cards + spec.context_cards + spec.cards
        self.sources = spec.pairs
        tables = {}
        for j, at in spec.pairs.items():
            offsets = code_offsets([cards[i] for i in at])
            self.register_buffer(f"offsets_{j}", offsets, persistent=False)
            tables[str(j)] = nn.Parameter(torch.zeros(int(offsets[-1]), spec.cards[j]), requires_grad=False)
        self.tables = nn.ParameterDict(tables)

    def forward(self, column: int, around: Surroundings) -> Tensor:
        """(N, K): what the tables of a sub-column add to its logits."""
        index = code_index(around.take(self.sources[column]), self.get_buffer(f"offsets_{column}"))
        out: Tensor = F.embedding_bag(index, F.pad(self.tables[str(column)], (0, 0, 0, 1)), mode="sum")
        return out
