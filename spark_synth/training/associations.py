"""What codes have in common by the company they keep, from the training rows themselves.

The principal axes of the indicator matrix (rows x codes of all sub-columns, drawn and context) say what tells rows
apart: era, size, kind. A code's features are the mean places of its rows on these axes, so that a category of ten rows
starts where its rows are and shares what the network has learnt about all rows there. As multiple correspondence
analysis (Greenacre, 2017), without its weights, by which the rarest codes would make the axes.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor
from torch.nn import functional as F

from spark_synth.models.batch import ABSENT, FamilyBatch, concat
from spark_synth.models.spec import GeneratorSpec

AXES = 8
OVERSAMPLED = 8  # further directions carried along, for the accuracy of the axes
ROUNDS = 4  # of the subspace iteration
PRIOR_ROWS = 1.0  # rows at the centre that every code is averaged with
SCALE = 2.0  # of the features; a spread of 1 was learnt too slowly
ALONE = 0.5  # variance that the codes of one sub-column reach by themselves; axes with more are what several share
MAX_CELLS = 10_000_000  # rows x sub-columns looked at


def with_associations(spec: GeneratorSpec, batches: list[FamilyBatch]) -> GeneratorSpec:
    """The spec with up to AXES more features per code, from training rows."""
    if not batches:
        return spec
    data = concat(batches)
    above = data.context.repeat_interleave(data.lengths, 0)
    cards = spec.cards + spec.context_cards
    codes = torch.cat([data.codes, above], 1)[: max(1, MAX_CELLS // len(cards))]
    found = torch.split(code_places(codes, cards), cards)
    own, context = spec.code_features()
    return dataclasses.replace(
        spec,
        features=_joined(own, list(found[: len(spec.cards)])),
        context_features=_joined(context, list(found[len(spec.cards) :])),
    )


def code_places(codes: Tensor, cards: list[int]) -> Tensor:
    """float32 (sum(cards), A), A <= AXES: mean place of the rows of each code, for codes int64 (N, D).

    Randomised subspace iteration (Halko, Martinsson and Tropp, 2011); the same rows give the same places.
    """
    ends = torch.cumsum(torch.tensor([0, *cards], device=codes.device), 0)
    index = torch.where(codes == ABSENT, ends[-1], codes + ends[:-1])
    counts = torch.bincount(index.flatten(), minlength=int(ends[-1]) + 1)[:-1].float()
    mean = counts / len(codes)

    def times(directions: Tensor) -> Tensor:
        padded = F.pad(directions, (0, 0, 0, 1))  # absent codes are the row of zeros at the end
        return F.embedding_bag(index, padded, mode="sum") - mean @ directions

    def transposed(scores: Tensor) -> Tensor:
        total = scores.new_zeros(len(mean) + 1, scores.shape[1])
        for column in index.T:
            total.index_add_(0, column, scores)
        return total[:-1] - mean[:, None] * scores.sum(0)

    width = min(AXES + OVERSAMPLED, len(mean), len(codes))
    directions = torch.randn(len(mean), width, generator=torch.Generator().manual_seed(0)).to(codes.device)
    for _ in range(ROUNDS):
        directions = torch.linalg.qr(transposed(times(directions)))[0]
    scores, size, _ = torch.linalg.svd(times(directions), full_matrices=False)
    axes = int((size.square() / len(codes) > ALONE).sum().clamp(max=AXES))
    summed = transposed(scores[:, :axes] * len(codes) ** 0.5)
    return SCALE * summed / (counts + PRIOR_ROWS)[:, None]


def _joined(features: list[list[list[float]]], places: list[Tensor]) -> list[list[list[float]]]:
    return [
        [[*code, *more] for code, more in zip(column, at.double().round(decimals=4).tolist(), strict=True)]
        for column, at in zip(features, places, strict=True)
    ]
