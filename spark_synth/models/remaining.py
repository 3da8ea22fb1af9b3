"""What is left of codes that the rows of a family may have only so often: drawing without replacement.

Where a family has each target of a link once, every row leaves fewer of its cluster's targets to the rows after it. The
logits of a code gain the log of the share that is left, when a network is trained as when it is drawn from. It then
learns how much each target is wanted; else it would ask for more of some clusters than is left, and what makes up for
that would change what all other families ask for.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from spark_synth.models.batch import ABSENT, FamilyBatch
from spark_synth.models.shared import places

GONE = 1e-4  # share of what real rows have although it is used up (their room is that of the rows now linked to)


def remaining(batch: FamilyBatch, column: int, most: Sequence[int]) -> Tensor:
    """float (N, K): for each row, the log of the share of each code of sub-column `column` that the rows before it in
    its family leave. most: (K,), how often a family may have each."""
    codes, family = batch.codes[:, column], batch.family()
    used = torch.zeros(batch.rows + 1, len(most), device=codes.device)
    owned = (batch.context != ABSENT).any(1)  # rows without an owner are no family
    after = torch.arange(1, batch.rows + 1, device=codes.device)
    used[after, codes.clamp(min=0)] = ((codes != ABSENT) & owned[family]).float()
    used.cumsum_(0)
    before = used[:-1] - used[torch.cumsum(batch.lengths, 0) - batch.lengths][family]
    room = places(tuple(most), codes.device).float().clamp(min=1)
    return torch.log((1 - before / room).clamp(min=GONE))
