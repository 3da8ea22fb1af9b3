"""Columns of which one tells the other (a region its country), so that pairs of codes never seen together stay unseen.

The maps of `encoding.derive_maps` need rows for every entry; a table of a hundred rows has a few for each. Here all
entries speak for each other: if codes that come back always come with the same partner, then so do the others.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from spark_synth.models.batch import ABSENT

EVIDENCE = 4.0  # nats by which chance must fall short of what is seen, in one of the pairs of columns that are tried
EXCEPTIONS = 0.1  # share of the codes that may come with several partners (NULL does), one in any case
FORBIDDEN = -10.0  # what a pair never seen adds to the logits
MAX_CELLS = 100_000  # of a table of pairs


def forbidden_pairs(
    source: Tensor, target: Tensor, family: Tensor, cards: tuple[int, int], tried: int
) -> Tensor | None:
    """float32 (K_source, K_target): FORBIDDEN for pairs that do not occur though one code tells the other, else 0.

    source, target, family: int64 (N,); families count once however often they have a pair. tried: pairs of columns
    that are looked at in all. None where neither column tells the other.
    """
    if cards[0] * cards[1] > MAX_CELLS or min(cards) < 2:
        return None
    both = (source != ABSENT) & (target != ABSENT)
    pair, family = source[both] * cards[1] + target[both], family[both]
    counts = _table(pair, cards)
    needed = EVIDENCE + math.log(2 * tried)
    if not _tells(counts, needed) and not _tells(counts.T, needed):
        return None
    counts = _table(torch.unique(torch.stack([family, pair]), dim=1)[1], cards)
    never = torch.zeros(cards, dtype=torch.bool, device=counts.device)
    if _tells(counts, needed):
        never |= _pure(counts)[None, :]
    if _tells(counts.T, needed):
        never |= _pure(counts.T)[:, None]
    out = torch.where(never & (counts == 0), FORBIDDEN, 0.0)
    return out if out.any() else None


def _table(pair: Tensor, cards: tuple[int, int]) -> Tensor:
    """float32 `cards`: how often each pair occurs."""
    return torch.bincount(pair, minlength=cards[0] * cards[1]).reshape(cards).float()


def _pure(counts: Tensor) -> Tensor:
    """bool (K,): second codes of counts (A, K) that come with one first code only."""
    return (counts > 0).sum(0) == 1


def _tells(counts: Tensor, needed: float) -> bool:
    """Whether second codes tell the first: those that come back nearly all come with one partner, beyond chance."""
    total, pure = counts.sum(0), _pure(counts)
    back = total >= 2
    if int((back & ~pure).sum()) > max(1.0, EXCEPTIONS * int(back.sum())):
        return False
    share = counts.sum(1) / counts.sum().clamp(min=1)
    partner = share[counts.argmax(0)]
    surprise = -(total - 1).clamp(min=0) * torch.log(partner.clamp(min=1e-9))
    return float(surprise[pure].sum()) > needed
