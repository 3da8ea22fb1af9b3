"""A family has each target once, also where it is so long that it is drawn in segments."""

from __future__ import annotations

import numpy as np
import torch

from spark_synth.encoding.join_plan import BlockPlan
from spark_synth.generation.blocks import draw_blocks
from spark_synth.generation.masks import Room, Segments

TARGETS = [13] * 200 + [1] * 650 + [200]  # rows of each cluster
WANTED = [*TARGETS[:-1], 0]
ROWS, SIZE = 512, 3200  # of the 3,250 that are wanted


def segments(families: int) -> Segments:
    """Those of families of SIZE rows, longest first."""
    start = np.arange(0, SIZE, ROWS).repeat(families)
    family = np.tile(np.arange(families) * SIZE, len(start) // families)
    return Segments(start, np.minimum(ROWS, SIZE - start), np.full(len(start), SIZE), family)


def test_segments_share_the_targets_of_their_family() -> None:
    targets = np.array([*TARGETS, 1 << 30])
    parts = segments(40).parts(targets).reshape(-1, 40, len(targets))
    assert (parts.sum(0) == targets).all()
    assert parts[:-1, :, :200].min() == 2 and parts[:-1, :, :200].max() == 3  # 13 * 512 / 3200 = 2.1
    assert np.abs(parts[:-1, :, :-2].sum(2) - 3250 * ROWS / SIZE).max() < 5
    first = parts[0, :, 200:-2].mean(0)  # which of the single targets are in a segment differs by family
    assert abs(first.mean() - ROWS / SIZE) < 0.01 and first.min() > 0 and first.max() < 0.5


def test_a_long_family_takes_no_more_of_a_cluster_than_there_is() -> None:
    cut = segments(2)
    owned, lengths = np.ones(len(cut.rows), bool), torch.from_numpy(cut.rows)
    context, generator = torch.zeros((len(lengths), 1), dtype=torch.int64), torch.Generator().manual_seed(1)
    masks = Room({0: TARGETS}, owned, cut)
    codes = draw_blocks(BlockPlan(by=-1, counts=[WANTED]), context, lengths, generator, masks).numpy()
    family = cut.family.repeat(cut.rows)
    for f in set(cut.family):
        taken = np.bincount(codes[family == f, 0], minlength=len(TARGETS))
        assert taken.sum() == SIZE and (taken <= WANTED).all()


def test_whole_families_and_rows_without_an_owner_have_all_targets() -> None:
    cut = segments(1)
    whole = Segments(np.zeros(2, int), np.full(2, ROWS), np.full(2, ROWS), np.array([0, ROWS]))
    for room in (Room({0: [3, 5]}, np.ones(2, bool), whole), Room({0: [3, 5]}, np.zeros(len(cut.rows), bool), cut)):
        allowed = room.allowed(0, 2, 0, np.zeros((2, 1), int))
        assert allowed is not None and (allowed == 1).all()
