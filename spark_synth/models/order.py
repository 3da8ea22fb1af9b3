"""Which codes of a sub-column are in order, and where: read from their features (see encoding.codecs)."""

from __future__ import annotations

import torch
from torch import Tensor

COSINES = 6  # features of an ordered code: cos(pi m place), m = 1.. (encoding.codecs.ordered_features)
SLACK = 1e-3


def places_in_order(features: list[list[float]]) -> Tensor | None:
    """float64 (K,): the place of each code in the order of values, in [0, 1], NaN for codes without one (NULL).

    None for a sub-column whose codes are not ordered. features: (K, F) of its codes, without those of associations.
    """
    found = torch.tensor(features, dtype=torch.float64)
    if found.dim() != 2 or found.shape[1] != COSINES:
        return None
    places = torch.arccos(found[:, 0].clamp(-1, 1)) / torch.pi
    expected = torch.cos(torch.pi * places[:, None] * torch.arange(1, COSINES + 1))
    apart = (found - expected).abs().amax(1) > SLACK
    if (apart & (found != 0).any(1)).any():
        return None
    return torch.where(apart, torch.nan, places)
