"""Code vectors with a part that codes share: neighbouring bins, or codes that keep the same company.

Each code has a vector of its own, plus its features (order in encoding.codecs, training.associations) times weights of
its sub-column. Small tables learn trends from few rows this way, rare categories learn from commoner ones; large tables
still learn each code freely.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor, nn

from spark_synth.models.batch import ABSENT

Features = list[list[list[float]]]


def padded(features: Features) -> list[Tensor]:
    """One float32 (K, F) a sub-column, F being the most features of any of them, at least 1."""
    width = max([1, *(len(code) for column in features for code in column)])
    return [torch.tensor([code + [0.0] * (width - len(code)) for code in column]) for column in features]


def code_offsets(cards: list[int]) -> Tensor:
    """int64 (C + 1,): the first row of each sub-column in a table of all codes, and the number of codes."""
    return torch.cumsum(torch.tensor([0, *cards]), 0).long()


def code_index(codes: Tensor, offsets: Tensor) -> Tensor:
    """Rows of a CodeTable for codes (N, C); ABSENT maps to the zero row at the end."""
    return torch.where(codes == ABSENT, offsets[-1], codes + offsets[:-1])


@lru_cache(maxsize=4096)
def places(numbers: tuple[int, ...], device: torch.device) -> Tensor:
    """int64: whole numbers that stay the same (those of columns, say), on a device. A list in their place would be
    copied to a GPU at every use, and each such copy waits for all that the GPU has to do before."""
    return torch.tensor(numbers, dtype=torch.int64, device=device)


class CodeTable(nn.Module):
    """One vector per code of every sub-column, and a zero row at the end for absent codes."""

    basis: Tensor
    column: Tensor

    def __init__(self, features: Features, width: int, std: float) -> None:
        super().__init__()
        basis = torch.cat(padded(features))
        self.own = nn.Parameter(torch.randn(len(basis), width) * std)
        self.shared = nn.Parameter(torch.randn(len(features), basis.shape[1], width) * std / 2)
        column = torch.repeat_interleave(torch.arange(len(features)), torch.tensor([len(f) for f in features]))
        self.register_buffer("column", column, persistent=False)
        self.register_buffer("basis", basis, persistent=False)

    def forward(self) -> Tensor:
        """(codes + 1, width): the vectors, the last one zero."""
        common = torch.bmm(self.basis[:, None], self.shared.index_select(0, self.column))[:, 0]
        return torch.cat([self.own + common, self.own.new_zeros(1, self.own.shape[1])])


class CodeOutput(nn.Module):
    """Output weights (G, head, K) of some sub-columns: free per code, plus the shared part; both start at zero."""

    basis: Tensor

    def __init__(self, features: Features, head: int, width: int) -> None:
        super().__init__()
        found = padded(features)
        basis = torch.zeros(len(found), found[0].shape[1], width)
        for i, f in enumerate(found):
            basis[i, :, : len(f)] = f.T
        self.register_buffer("basis", basis, persistent=False)
        self.own = nn.Parameter(torch.zeros(len(found), head, width))
        self.shared = nn.Parameter(torch.zeros(len(found), head, basis.shape[1]))

    def forward(self) -> Tensor:
        """(G, head, K)."""
        return self.own + torch.bmm(self.shared, self.basis)
