"""Mixed columns of the GAN: what critics see of codes, and chances of codes that follow from layers."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from spark_synth.models.batch import ABSENT
from spark_synth.models.gan_columns import MixedColumns, Modes, OrderedHead, straight_through
from spark_synth.models.order import places_in_order
from spark_synth.models.spec import GeneratorSpec

CODES = 21  # of the ordered sub-column: NULL, then 20 in order


def in_order(count: int, nulls: int = 0) -> list[list[float]]:
    """Features of codes in order, those before them without a place."""
    cosines = [[math.cos(math.pi * m * i / (count - 1)) for m in range(1, 7)] for i in range(count)]
    return [[0.0] * 6] * nulls + cosines


def counts() -> list[float]:
    """Two hills, a code that does not occur between them, and NULL."""
    hills = [40 * math.exp(-((i - 4) ** 2) / 4) + 25 * math.exp(-((i - 15) ** 2) / 6) + 1 for i in range(20)]
    hills[10] = 0.0
    return [30.0, *hills]


@pytest.fixture
def columns() -> MixedColumns:
    frequencies = [[6.0, 3.0, 0.0], [1.0] * 4, counts(), [1.0, 1.0]]
    features: list[list[list[float]]] = [[[]] * 3, [[]] * 4, in_order(20, nulls=1), [[]] * 2]
    return MixedColumns(GeneratorSpec([3, 4, CODES, 2], fixed=1, given=[3], frequencies=frequencies, features=features))


def modes() -> Modes:
    place = places_in_order(in_order(20, nulls=1))
    assert place is not None
    return Modes(place, torch.tensor(counts(), dtype=torch.float64))


def test_fixed_and_given_sub_columns_are_not_drawn(columns: MixedColumns) -> None:
    assert columns.drawn == [1, 2] and columns.nominal == [1]
    assert columns.encode(torch.zeros(5, 4, dtype=torch.int64)).shape == (5, columns.width)


def test_modes_are_those_of_the_hills() -> None:
    found = modes()
    for hill in (4 / 19, 15 / 19):
        assert float((found.means - hill).abs().min()) < 0.06
    assert found.shares[0].argmax() == found.shares.shape[1] - 1  # NULL is a mode of its own
    torch.testing.assert_close(found.shares.sum(1), torch.ones(CODES))


def test_codes_come_back_from_their_numbers() -> None:
    """Mode and offset of a code, put into the head with a narrow kernel, make it the likeliest one."""
    found, seen = modes(), torch.tensor(counts(), dtype=torch.float64)
    numbers = found.numbers()
    assert len(torch.unique(numbers, dim=0)) == CODES
    head = OrderedHead(1, seen, found)
    nn.init.zeros_(head.out.weight)
    for code in torch.nonzero(seen > 0)[:, 0].tolist():
        offset = torch.atanh(numbers[code, -1:].clamp(-0.9999, 0.9999))
        with torch.no_grad():
            head.usual.copy_(torch.cat([20 * numbers[code, :-1], offset, torch.tensor([-3.0])]))
        assert int(head(torch.ones(1, 1)).argmax()) == code


def test_absent_codes_are_zeros(columns: MixedColumns) -> None:
    codes = torch.tensor([[0, 1, 3, 0], [0, ABSENT, 3, 0], [0, 1, ABSENT, 0]])
    numbers = columns.encode(codes)
    assert numbers[0, :4].any() and numbers[0, 4:].any()
    assert not numbers[1, :4].any() and torch.equal(numbers[1, 4:], numbers[0, 4:])
    assert not numbers[2, 4:].any() and torch.equal(numbers[2, :4], numbers[0, :4])


@pytest.mark.parametrize("j", [1, 2])
def test_heads_without_weights_are_the_frequencies(columns: MixedColumns, j: int) -> None:
    head = columns.head(j, 4)
    layer = head.get_submodule("out")
    assert isinstance(layer, nn.Linear)
    nn.init.zeros_(layer.weight)
    seen = columns.counts(j)
    chances = torch.softmax(head(torch.ones(1, 4))[0], 0).double()
    assert float((chances - seen / seen.sum()).abs().sum().detach()) / 2 < 0.02


def test_what_does_not_occur_cannot_be_drawn(columns: MixedColumns) -> None:
    torch.manual_seed(0)
    head = columns.head(2, 4)
    logits = head(torch.randn(5000, 4) * 20)
    assert torch.isfinite(logits).all()
    assert not torch.softmax(logits, 1)[:, 11].any()
    assert not straight_through(logits)[:, 11].any()
    spec = GeneratorSpec([3], frequencies=[[6.0, 3.0, 0.0]])
    assert not torch.softmax(MixedColumns(spec).head(0, 4)(torch.randn(500, 4) * 20), 1)[:, 2].any()


def test_the_offset_moves_the_place() -> None:
    found = modes()
    head = OrderedHead(1, torch.tensor(counts(), dtype=torch.float64), found)
    nn.init.zeros_(head.out.weight)
    with torch.no_grad():
        head.out.weight[-2] = 1.0
        head.usual[-1] = -1.0
        head.usual[found.normal : -2] = -30.0  # no NULL
    chances = torch.softmax(head(torch.linspace(-1, 1, 9)[:, None]), 1)
    place = (chances * found.place).sum(1)
    assert (place.diff() > 0).all()


def test_draws_follow_the_logits_and_pass_gradients() -> None:
    logits = torch.log(torch.tensor([0.6, 0.3, 0.1])).repeat(20_000, 1).requires_grad_()
    drawn = straight_through(logits, torch.Generator().manual_seed(0))
    assert torch.equal(drawn.detach().sum(1).round(decimals=4), torch.ones(20_000))
    assert float((drawn.detach().mean(0) - torch.tensor([0.6, 0.3, 0.1])).abs().max()) < 0.02
    drawn[:, 0].sum().backward()  # type: ignore[no-untyped-call]
    slope = logits.grad
    assert isinstance(slope, Tensor) and (slope[:, 0] >= 0).all() and slope[:, 0].any() and (slope[:, 1] <= 0).all()
