"""Where a row is in its family: its position, the rows still to come, and the size of the family."""

from __future__ import annotations

import torch
from torch import Tensor, nn

BUCKETS = 48  # positions and sizes: exact to 31, then four per doubling


def bucket(x: Tensor) -> Tensor:
    """Bucket index of a non-negative count: exact to 31, then four buckets per doubling, capped."""
    large = 32 + torch.floor(4 * torch.log2(x.clamp(min=32).double() / 32)).long()
    return torch.where(x < 32, x, large).clamp(0, BUCKETS - 1)


def place_tables(width: int) -> nn.ModuleList:
    """Embeddings of position, rows to come, and size."""
    tables = nn.ModuleList([nn.Embedding(BUCKETS, width) for _ in range(3)])
    for table in tables.parameters():
        nn.init.normal_(table, std=0.05)
    return tables


def place_sum(tables: nn.ModuleList, position: Tensor, size: Tensor) -> Tensor:
    """(N, width): what the tables say of rows at `position` (N,) of families of `size` (N,)."""
    parts = (position, size - 1 - position, size)
    return torch.stack([p(bucket(x)) for p, x in zip(tables, parts, strict=True)]).sum(0)
