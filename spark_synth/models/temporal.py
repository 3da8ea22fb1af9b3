"""Convolution along the rows of families that lie one behind the other: nothing is padded, none sees another's rows."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

DILATIONS = (1, 2, 4)


class TemporalConv(nn.Module):
    """Residual layers of width 3 with growing dilation (Bai et al., 2018), looking both ways; beyond a family's ends
    are zeros."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(3 * width, width) for _ in DILATIONS])

    def forward(self, rows: Tensor, position: Tensor, after: Tensor) -> Tensor:
        """(N, width), of rows (N, width) with so many rows of their family before and after them, int64 (N,)."""
        for dilation, layer in zip(DILATIONS, self.layers, strict=True):
            before = torch.where((position >= dilation)[:, None], torch.roll(rows, dilation, 0), 0.0)
            behind = torch.where((after >= dilation)[:, None], torch.roll(rows, -dilation, 0), 0.0)
            rows = rows + F.leaky_relu(layer(torch.cat([before, rows, behind], 1)), 0.2)
        return rows


def family_mean(rows: Tensor, family: Tensor, lengths: Tensor) -> Tensor:
    """(B, H): the mean over the rows (N, H) of every family."""
    summed = rows.new_zeros(len(lengths), rows.shape[1]).index_add(0, family, rows)
    return summed / lengths[:, None].clamp(min=1)
