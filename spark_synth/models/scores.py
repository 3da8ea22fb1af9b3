"""Codes as numbers that a linear model can use: normal scores of ordered codes, principal axes of the others.

An ordered code stands for the mean of its part of a standard normal (normal scores, as the margins of a Gaussian copula
are coded: Joe, 2014, section 2), a code beside the order (NULL) for an indicator. Codes without an order have an
indicator each where they are few, else the places that `axes` give them. All are centred on the training rows.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spark_synth.models.batch import ABSENT
from spark_synth.models.order import places_in_order
from spark_synth.models.shared import code_index, code_offsets

FEW = 8  # codes without an order that have an indicator each
SQRT2PI = math.sqrt(2 * math.pi)


class Scores(nn.Module):
    """The numbers of the codes of some sub-columns.

    table: float32 (codes + 1, F), the row at the end zero, for ABSENT; of a sub-column only its own numbers, `spans`
    int64 (C, 2) [first, end) of the F, are not zero. offsets: int64 (C + 1,), the first code of each sub-column.
    """

    table: Tensor
    spans: Tensor
    offsets: Tensor

    def __init__(self, cards: list[int], width: int = 0) -> None:
        super().__init__()
        offsets = code_offsets(cards)
        self.register_buffer("offsets", offsets, persistent=False)
        self.register_buffer("table", torch.zeros(int(offsets[-1]) + 1, width))
        self.register_buffer("spans", torch.zeros(len(cards), 2, dtype=torch.int64))

    @property
    def width(self) -> int:
        """F, the numbers of all sub-columns."""
        return self.table.shape[1]

    def span(self, column: int) -> tuple[int, int]:
        """[first, end) of the numbers of a sub-column."""
        first, end = self.spans[column].tolist()
        return first, end

    def of(self, codes: Tensor) -> Tensor:
        """float32 (N, F) of codes int64 (N, C)."""
        if not codes.shape[1] or not self.width:
            return self.table.new_zeros(len(codes), self.width)
        return F.embedding_bag(code_index(codes, self.offsets), self.table, mode="sum")

    def of_column(self, column: int, codes: Tensor) -> Tensor:
        """float32 (N, f) of the codes (N,) of one sub-column."""
        first, end = self.span(column)
        index = torch.where(codes == ABSENT, self.offsets[-1], codes + self.offsets[column])
        return F.embedding(index, self.table[:, first:end])


def code_scores(features: list[list[list[float]]], frequencies: list[list[float]], axes: list[Tensor]) -> Scores:
    """Scores of sub-columns with these features (K, F) of their codes, frequencies (K,) and axes float (K, A)."""
    each = [_of_column(*one) for one in zip(features, frequencies, axes, strict=True)]
    ends = torch.cumsum(torch.tensor([0, *(e.shape[1] for e in each)]), 0)
    scores = Scores([len(f) for f in frequencies], int(ends[-1]))
    for i, one in enumerate(each):
        scores.table[int(scores.offsets[i]) : int(scores.offsets[i + 1]), int(ends[i]) : int(ends[i + 1])] = one.float()
    scores.spans.copy_(torch.stack([ends[:-1], ends[1:]], 1))
    return scores


def normal_scores(chances: Tensor) -> tuple[Tensor, Tensor]:
    """float64 (K,): the mean of a standard normal inside the part of each code, codes in order, and (K + 1,) the ends
    of these parts, infinite at both sides. chances: float64 (K,), summing to 1."""
    levels = torch.cumsum(F.pad(chances, (1, 0)), 0).clamp(0, 1)
    levels[-1] = 1.0
    ends = torch.special.ndtri(levels)
    density = torch.exp(-ends.square() / 2) / SQRT2PI
    means = (density[:-1] - density[1:]) / chances.clamp(min=1e-300)
    return torch.where(chances > 0, means, 0.0), ends


def _of_column(features: list[list[float]], frequencies: list[float], axes: Tensor) -> Tensor:
    """float64 (K, f): the scores of one sub-column."""
    counts = torch.tensor(frequencies, dtype=torch.float64)
    shares = counts / counts.sum().clamp(min=1)
    places = places_in_order(features)
    if places is None:
        made = _indicators(shares) if len(shares) <= FEW else axes.double()
    else:
        made = _ordered(places, shares)
    return (made - shares @ made) * (counts > 0)[:, None]


def _ordered(places: Tensor, shares: Tensor) -> Tensor:
    """(K, 2), or (K, 3) where codes beside the order occur: the normal score, the second Hermite polynomial of it (what
    is common among middling values and rare at both ends, or the other way round), and an indicator."""
    beside = places.isnan()
    order = torch.argsort(places)[: int((~beside).sum())]
    inside = shares[order] / shares[order].sum().clamp(min=1e-300)
    means, _ = normal_scores(inside)
    scores = torch.zeros(len(places), 2, dtype=torch.float64)
    scores[order] = torch.stack([means, (means.square() - inside @ means.square()) / math.sqrt(2)], 1)
    if not (shares * beside).any():
        return scores
    return torch.cat([scores, beside.double()[:, None]], 1)


def _indicators(shares: Tensor) -> Tensor:
    """(K, n): one indicator for every code that occurs but the commonest."""
    kept = torch.argsort(shares, descending=True)[1 : int((shares > 0).sum())]
    return torch.eye(len(shares), dtype=torch.float64)[:, kept]
