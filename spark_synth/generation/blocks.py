"""Edges by blocks: the cluster of a row's target given only the cluster of its owner.

With exact degrees on both sides (generation.matching) this is the degree-corrected stochastic block model (Karrer and
Newman, Physical Review E, 2011) of a bipartite graph; with one block for all owners it is the configuration model.
"""

from __future__ import annotations

import torch
from torch import Tensor

from spark_synth.encoding.join_plan import BlockPlan
from spark_synth.models.base import Masks, Tilt
from spark_synth.models.batch import ABSENT
from spark_synth.models.sampling import drawn


def draw_blocks(
    plan: BlockPlan,
    context: Tensor,
    lengths: Tensor,
    generator: torch.Generator,
    masks: Masks | None = None,
    tilt: Tilt | None = None,
) -> Tensor:
    """Codes int64 (N, 1) of the links of families, longest first; context int64 (B, P) of their owners, ABSENT for
    families without one, which draw as all together do; tilt: what is added to the logits."""
    counts = torch.tensor(plan.counts, dtype=torch.float64)
    counts = torch.cat([counts, counts.sum(0, keepdim=True)])
    logits = torch.log(counts) + (tilt.added if tilt else 0.0)
    own = context[:, plan.by] if plan.by >= 0 else torch.full((len(lengths),), ABSENT)
    block = torch.where((own == ABSENT) | (counts.sum(1)[own] == 0), len(counts) - 1, own)
    first = torch.cumsum(lengths, 0) - lengths
    codes = torch.full((int(lengths.sum()), 1), ABSENT)
    for step in range(int(lengths[0]) if len(lengths) else 0):
        active = int((lengths > step).sum())
        found = logits[block[:active]]
        allowed = masks.allowed(0, active, step, codes.numpy()) if masks else None
        if allowed is not None:
            narrowed = found.masked_fill(torch.from_numpy(allowed) == 0, float("-inf"))
            found = torch.where(torch.isinf(narrowed).all(1, keepdim=True), found, narrowed)
        made = drawn(found, generator, tilt)[:, None]
        codes[first[:active] + step] = made
        if masks:
            masks.drawn(made.numpy())
    return codes
