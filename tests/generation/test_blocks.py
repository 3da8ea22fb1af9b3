"""Edges by blocks: the shares of the real graph, shifted where asked, no more of a cluster than a family may have."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spark_synth.encoding.join_plan import BlockPlan
from spark_synth.generation.blocks import draw_blocks
from spark_synth.generation.masks import Room
from spark_synth.models.base import Tilt
from spark_synth.models.batch import ABSENT

PLAN = BlockPlan(by=1, counts=[[8, 2, 0], [0, 5, 5], [0, 0, 0]])
ALONE = BlockPlan(by=-1, counts=[[8, 7, 5]])


def drawn(plan: BlockPlan, codes: list[int], rows: int, **more: object) -> np.ndarray:
    """(families, rows) of families whose owners have these codes."""
    context = torch.tensor([[0, c] for c in codes])
    lengths = torch.full((len(codes),), rows)
    generator = torch.Generator().manual_seed(4)
    made = draw_blocks(plan, context, lengths, generator, **more)  # type: ignore[arg-type]
    assert made.shape == (len(codes) * rows, 1)
    found: np.ndarray = made.numpy().reshape(len(codes), rows)
    return found


def shares(codes: np.ndarray) -> np.ndarray:
    counted: np.ndarray = np.bincount(codes.ravel(), minlength=3) / codes.size
    return counted


def test_owners_draw_as_those_of_their_cluster() -> None:
    made = drawn(PLAN, [0] * 400 + [1] * 400, 5)
    assert np.abs(shares(made[:400]) - [0.8, 0.2, 0.0]).max() < 0.02
    assert np.abs(shares(made[400:]) - [0.0, 0.5, 0.5]).max() < 0.02


def test_owners_that_nothing_is_known_of_draw_as_all_do() -> None:
    for codes in ([ABSENT] * 500, [2] * 500):
        assert np.abs(shares(drawn(PLAN, codes, 4)) - [0.4, 0.35, 0.25]).max() < 0.02
    assert np.abs(shares(drawn(ALONE, [0] * 250 + [1] * 250, 4)) - [0.4, 0.35, 0.25]).max() < 0.02


def test_tilts_are_added_to_the_logits() -> None:
    tilt = Tilt(torch.tensor([0.0, np.log(4.0), 0.0]))
    made = shares(drawn(PLAN, [0] * 500, 4, tilt=tilt))
    assert np.abs(made - [0.5, 0.5, 0.0]).max() < 0.02
    assert tilt.expected.numpy() == pytest.approx([1000, 1000, 0])


def test_families_take_no_more_of_a_cluster_than_there_is() -> None:
    room = {0: [2, 1, 3]}
    owned = np.ones(50, bool)
    made = drawn(ALONE, [0] * 50, 6, masks=Room(room, owned))
    assert (np.sort(made, 1) == [0, 0, 1, 2, 2, 2]).all()
    made = drawn(PLAN, [0] * 50, 4, masks=Room(room, owned))
    assert (made < 2).all()  # nothing is left, and cluster 2 has no edges
