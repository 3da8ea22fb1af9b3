"""Codes that are known: what precedes them is drawn as Bayes' rule says, and known codes stay."""

from __future__ import annotations

import torch

from spark_synth.models.autoregressive import Autoregressive
from spark_synth.models.base import Observed
from spark_synth.models.batch import ABSENT
from spark_synth.models.spec import GeneratorSpec

CARDS, ROWS, DRAWS = [4, 3, 3], 3000, 32


def network(recurrent: bool) -> Autoregressive:
    """An untrained network whose columns hang together."""
    torch.manual_seed(5)
    frequencies = [[4.0, 3.0, 2.0, 1.0], [1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]
    above = [2] if recurrent else []
    model = Autoregressive(
        GeneratorSpec(
            cards=CARDS,
            context_cards=above,
            features=[[[]] * c for c in CARDS],
            context_features=[[[]] * c for c in above],
            frequencies=frequencies,
            recurrent=recurrent,
            hidden=16,
            head=8,
            dropout=0.0,
        )
    )
    with torch.no_grad():
        for p in model.parameters():
            p.add_(torch.randn(p.shape) * 0.4)
    return model


def chances(model: Autoregressive, known: tuple[int, int]) -> torch.Tensor:
    """p(first column | the others) by counting: rows drawn freely that have the known codes."""
    lengths = torch.ones(200_000, dtype=torch.int64)
    nothing = torch.zeros((len(lengths), 0), dtype=torch.int64)
    codes = model.sample(nothing, lengths, lengths - 1, lengths, torch.Generator().manual_seed(1))
    found = codes[(codes[:, 1] == known[0]) & (codes[:, 2] == known[1]), 0]
    return torch.bincount(found, minlength=CARDS[0]) / len(found)


def test_what_precedes_known_codes_is_drawn_given_these() -> None:
    model, known = network(recurrent=False), (2, 1)
    lengths = torch.ones(ROWS * DRAWS, dtype=torch.int64)
    codes = {j + 1: torch.full((len(lengths),), k) for j, k in enumerate(known)}
    observed = Observed(codes, torch.zeros(len(lengths), dtype=torch.float64), DRAWS)
    nothing = torch.zeros((len(lengths), 0), dtype=torch.int64)
    drawn = model.sample(nothing, lengths, lengths - 1, lengths, torch.Generator().manual_seed(2), observed=observed)[
        ::DRAWS
    ]
    assert (drawn[:, 1:] == torch.tensor(known)).all()
    free = torch.tensor([0.4, 0.3, 0.2, 0.1])
    shares, wanted = torch.bincount(drawn[:, 0], minlength=CARDS[0]) / ROWS, chances(model, known)
    assert (wanted - free).abs().max() > 0.1  # the known codes tell something
    assert (shares - wanted).abs().max() < 0.04


def test_families_keep_their_known_codes_and_one_draw_stands_for_all() -> None:
    model, lengths = network(recurrent=True), torch.tensor([3, 2, 1]).repeat_interleave(DRAWS)
    rows = int(lengths.sum())
    known = torch.arange(rows // DRAWS) % 3
    known[0] = ABSENT
    of_row = torch.cat([torch.arange(a, b).repeat(DRAWS) for a, b in ((0, 3), (3, 5), (5, 6))])
    observed = Observed({1: known[of_row]}, torch.zeros(rows, dtype=torch.float64), DRAWS)
    above, start = torch.zeros((len(lengths), 1), dtype=torch.int64), torch.zeros_like(lengths)
    drawn = model.sample(above, lengths, start, lengths, torch.Generator().manual_seed(3), observed=observed)
    assert (drawn[:, 1] == known[of_row]).all()
    for row in range(rows // DRAWS):
        assert (drawn[of_row == row] == drawn[of_row == row][0]).all()
