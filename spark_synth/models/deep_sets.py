"""What a set of rows says: Deep Sets (Zaheer et al., NeurIPS 2017), out = rho(mean over members of phi(member))."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spark_synth.models.batch import ABSENT
from spark_synth.models.shared import CodeTable, code_index, code_offsets
from spark_synth.models.spec import SetSpec


class DeepSet(nn.Module):
    """From the codes of up to `slots` rows to one vector, whatever their order."""

    offsets: Tensor

    def __init__(self, spec: SetSpec, inner: int, hidden: int) -> None:
        super().__init__()
        self.width = len(spec.cards)
        self.register_buffer("offsets", code_offsets(spec.cards), persistent=False)
        self.value = CodeTable(spec.features, inner, 1 / math.sqrt(self.width))
        self.member = nn.Sequential(nn.ReLU(), nn.Linear(inner, inner), nn.ReLU())
        self.whole = nn.Sequential(nn.Linear(inner, hidden), nn.ReLU(), nn.Linear(hidden, hidden))

    def forward(self, codes: Tensor) -> Tensor:
        """float32 (N, hidden) of int64 (N, slots x sub-columns); empty slots are ABSENT."""
        members = codes.view(len(codes), codes.shape[1] // self.width, self.width)
        there = (members != ABSENT).any(2)
        summed = F.embedding_bag(code_index(members[there], self.offsets), self.value(), mode="sum")
        row = torch.arange(len(codes), device=codes.device)[:, None].expand_as(there)[there]
        total = summed.new_zeros(len(codes), summed.shape[1]).index_add(0, row, self.member(summed))
        out: Tensor = self.whole(total / there.sum(1, keepdim=True).clamp(min=1))
        return out
