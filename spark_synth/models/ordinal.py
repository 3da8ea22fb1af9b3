"""Embedding tables that know the order of codes, so that neighbouring bins share what is learnt about either.

An ordered code at place p in [0, 1] has, besides a vector of its own, a smooth part: cosines of p times weights that
its sub-column shares. Small tables learn trends from few rows this way; large ones still learn each code freely.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

SMOOTH = 6  # cosines of the smooth part


def smooth_basis(places: list[float]) -> Tensor:
    """(K, SMOOTH) cosines at the places of a sub-column's codes; zero rows where a code has no place (NaN)."""
    p = torch.tensor(places, dtype=torch.float32)[:, None]
    return torch.nan_to_num(torch.cos(math.pi * p * torch.arange(1, SMOOTH + 1)), nan=0.0)


class CodeTable(nn.Module):
    """One vector per code of every sub-column, and a zero row at the end for absent codes.

    places: for each sub-column the place of each code, NaN where it has none (see smooth_basis).
    """

    basis: Tensor
    column: Tensor

    def __init__(self, places: list[list[float]], width: int, std: float) -> None:
        super().__init__()
        rows = sum(len(p) for p in places)
        self.own = nn.Parameter(torch.randn(rows, width) * std)
        self.shared = nn.Parameter(torch.randn(len(places), SMOOTH, width) * std / 2)
        column = torch.repeat_interleave(torch.arange(len(places)), torch.tensor([len(p) for p in places]))
        self.register_buffer("column", column, persistent=False)
        self.register_buffer("basis", torch.cat([smooth_basis(p) for p in places]), persistent=False)

    def forward(self) -> Tensor:
        """(codes + 1, width): the vectors, the last one zero."""
        smooth = torch.bmm(self.basis[:, None], self.shared[self.column])[:, 0]
        return torch.cat([self.own + smooth, self.own.new_zeros(1, self.own.shape[1])])


class CodeOutput(nn.Module):
    """Output weights (G, head, K) of some sub-columns: free per code, plus the smooth part; both start at zero."""

    basis: Tensor

    def __init__(self, places: list[list[float]], head: int, width: int) -> None:
        super().__init__()
        basis = torch.zeros(len(places), SMOOTH, width)
        for i, p in enumerate(places):
            basis[i, :, : len(p)] = smooth_basis(p).T
        self.register_buffer("basis", basis, persistent=False)
        self.own = nn.Parameter(torch.zeros(len(places), head, width))
        self.shared = nn.Parameter(torch.zeros(len(places), head, SMOOTH))

    def forward(self) -> Tensor:
        """(G, head, K)."""
        return self.own + torch.bmm(self.shared, self.basis)
