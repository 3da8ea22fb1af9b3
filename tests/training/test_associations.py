"""Codes of a few rows stand where their rows stand."""

from __future__ import annotations

import numpy as np
import torch

from spark_synth.models.batch import ABSENT, FamilyBatch
from spark_synth.models.spec import GeneratorSpec
from spark_synth.training.associations import code_places, with_associations

CARDS = [3, 4, 4, 4]  # the first: early, late, and 2 for ten rows which are all early


def rows(n: int = 2000) -> torch.Tensor:
    """Codes (n, 4): an era, and three columns of which the codes 0 and 1 are early, 2 and 3 late."""
    rng = np.random.default_rng(0)
    late = rng.random(n) < 0.5
    codes = np.stack([late, *(2 * late + rng.integers(0, 2, n) for _ in range(3))], 1).astype(np.int64)
    codes[np.flatnonzero(~late)[:10], 0] = 2
    return torch.from_numpy(codes)


def distance(places: torch.Tensor, i: int, j: int) -> float:
    return float(torch.linalg.norm(places[i] - places[j]))


def test_rare_codes_stand_beside_the_codes_they_occur_with() -> None:
    places = code_places(rows(), CARDS)
    assert places.shape == (sum(CARDS), 1)  # what all columns share; nothing else tells rows apart
    assert distance(places, 2, 0) < 0.6 * distance(places, 2, 1)
    assert abs(float(places[0, 0]) - float(places[1, 0])) > 2


def test_absent_codes_and_unused_codes_stand_at_the_centre() -> None:
    codes = rows()
    codes[:, 3] = ABSENT
    places = code_places(codes, [*CARDS[:3], 5])
    assert places.isfinite().all() and not places[-5:].any()


def test_the_same_rows_give_the_same_places() -> None:
    torch.testing.assert_close(code_places(rows(), CARDS), code_places(rows(), CARDS), rtol=0, atol=0)


def test_columns_that_share_nothing_have_no_axes() -> None:
    apart = torch.from_numpy(np.random.default_rng(0).integers(0, 4, (3000, 5)))
    assert code_places(apart, [4] * 5).shape == (20, 0)
    assert code_places(torch.zeros((50, 2), dtype=torch.int64), [1, 1]).shape == (2, 0)


def test_features_follow_those_of_the_order_in_context_too() -> None:
    codes = rows(400)
    families = FamilyBatch(codes[:, 1:], codes[::2, :1], *(torch.full((200,), n) for n in (2, 0, 2)))
    ordered: list[list[list[float]]] = [[[0.1, 0.2]] * 4, [[]] * 4, [[]] * 4]
    spec = GeneratorSpec(cards=CARDS[1:], context_cards=CARDS[:1], features=ordered)
    found = with_associations(spec, [families, families])
    assert [[len(code) for code in column] for column in found.features] == [[3] * 4, [1] * 4, [1] * 4]
    assert [len(code) for code in found.context_features[0]] == [1] * 3
    assert found.features[0][0][:2] == [0.1, 0.2]
    assert with_associations(spec, []) == spec
