"""How far rows of a generator are from real ones that stand in the same places, and codes that it no longer makes."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from spark_synth.models.batch import ABSENT, FamilyBatch, of_sibling
from spark_synth.models.gan_columns import one_hot
from spark_synth.models.order import places_in_order
from spark_synth.models.spec import GeneratorSpec

GROUPS = 8  # of the codes of a sub-column, where pairs are compared
RARE = 10.0  # rows that a code has at least if the generator must know it
KEPT = 0.8  # share of these codes that it makes at least


def distances(spec: GeneratorSpec, drawn: list[int], real: FamilyBatch, fake: FamilyBatch) -> Tensor:
    """(C,): for each drawn sub-column the total variation distance of its codes, plus the mean of that of its pairs
    with the columns of the context, of the previous sibling and of its own row, codes in groups; zero for others."""
    out = torch.zeros(len(spec.cards), device=real.codes.device)
    if not real.rows or not drawn:
        return out
    pairs = _pair_distances(spec, real, fake)
    for j in drawn:
        counts = [one_hot(b.codes[:, j], spec.cards[j]).sum(0) for b in (real, fake)]
        out[j] = variation(*counts) + pairs[j]
    return out


def variation(real: Tensor, fake: Tensor) -> Tensor:
    """(...): total variation distance of counts (..., K)."""
    shares = [x / x.sum(-1, keepdim=True).clamp(min=1) for x in (real, fake)]
    return (shares[0] - shares[1]).abs().sum(-1) / 2


def code_counts(spec: GeneratorSpec, batches: list[FamilyBatch]) -> list[Tensor]:
    """int64 (K,) a sub-column: rows with each code."""
    codes = torch.cat([b.codes for b in batches])
    return [torch.bincount(c[c != ABSENT], minlength=k) for c, k in zip(codes.T, spec.cards, strict=True)]


def collapsed(real: list[Tensor], fake: list[Tensor], rare: float = RARE) -> list[int]:
    """Sub-columns in which the generator makes less than KEPT of the codes that are not rare.

    real, fake: rows with each code, (K,) a sub-column, of about the same number of rows.
    """
    found = []
    for j, (seen, made) in enumerate(zip(real, fake, strict=True)):
        common = seen >= rare
        if common.any() and float((made[common] > 0).double().mean()) < KEPT:
            found.append(j)
    return found


def _pair_distances(spec: GeneratorSpec, real: FamilyBatch, fake: FamilyBatch) -> Tensor:
    """(C,): mean distance of a sub-column's pairs with all that surrounds it."""
    tables = [_pair_counts(spec, real, b) for b in (real, fake)]
    apart = variation(*tables)  # (C, partners)
    own = torch.eye(len(spec.cards), dtype=torch.bool, device=apart.device)
    told = tables[0].sum(-1) > 0
    told[:, : len(spec.cards)] &= ~own
    return (apart * told).sum(1) / told.sum(1).clamp(min=1)


def _pair_counts(spec: GeneratorSpec, real: FamilyBatch, batch: FamilyBatch) -> Tensor:
    """(C, partners, GROUPS²): rows with each pair of groups. Partners: columns of the row, its sibling, the context."""
    rows = _mapped(batch.codes, [_groups(spec, real, j) for j in range(len(spec.cards))])
    parts = [rows]
    if spec.recurrent:
        parts.append(of_sibling(rows, batch.position(), ABSENT))
    if spec.context_cards:
        coarse = [_coarse(card, real.context[:, i]) for i, card in enumerate(spec.context_cards)]
        parts.append(_mapped(batch.context, coarse)[batch.family()])
    partners = torch.cat(parts, 1)
    left, right = (F.one_hot(x.clamp(min=0), GROUPS).float() * (x != ABSENT)[..., None] for x in (rows, partners))
    found = left.flatten(1).T @ right.flatten(1)
    count = len(spec.cards)
    return found.view(count, GROUPS, -1, GROUPS).transpose(1, 2).reshape(count, -1, GROUPS * GROUPS)


def _mapped(codes: Tensor, groups: list[Tensor]) -> Tensor:
    """int64 (N, C): the groups of codes (N, C)."""
    each = zip(codes.T, groups, strict=True)
    return torch.stack([torch.where(c == ABSENT, ABSENT, of[c.clamp(min=0)]) for c, of in each], 1)


def _groups(spec: GeneratorSpec, real: FamilyBatch, j: int) -> Tensor:
    """int64 (K,): the group of each code of a sub-column, in order and of like size, or the commonest and the rest."""
    place = places_in_order(spec.code_features()[0][j])
    codes = real.codes[:, j]
    if place is None:
        return _coarse(spec.cards[j], codes)
    counts = one_hot(codes, spec.cards[j]).sum(0)
    place = place.to(codes.device)
    order = torch.nan_to_num(place, nan=2.0).argsort(stable=True)
    ends = torch.cumsum(counts[order], 0)
    of = ((ends - counts[order] / 2) / counts.sum().clamp(min=1) * (GROUPS - 1)).long().clamp(0, GROUPS - 2)
    groups = torch.empty_like(of)
    groups[order] = of
    return torch.where(torch.isnan(place), GROUPS - 1, groups)


def _coarse(card: int, codes: Tensor) -> Tensor:
    """int64 (card,): the commonest codes are groups of their own, all others fall among these in turn."""
    rank = one_hot(codes, card).sum(0).argsort(descending=True, stable=True).argsort()
    return rank % GROUPS
