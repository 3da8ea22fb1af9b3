from __future__ import annotations

import pytest
import torch

from spark_synth.models.base import Tilt
from spark_synth.models.batch import ABSENT
from spark_synth.models.sampling import drawn, inverse_cdf, likeness, stratified

STEPS = [3] * 100 + [1] * 150  # rows drawn at once


@pytest.mark.parametrize("n", [1, 2, 777])
def test_there_is_one_uniform_in_each_stratum(n: int) -> None:
    generator = torch.Generator().manual_seed(n)
    uniform = stratified(torch.rand(n, generator=generator), generator)
    assert uniform.dtype == torch.float64
    assert torch.floor(uniform * n).long().sort().values.tolist() == list(range(n))


def test_strata_come_in_random_order() -> None:
    uniform = stratified(torch.arange(1000.0), torch.Generator().manual_seed(0))
    ranks = uniform.argsort().argsort().double()
    assert abs(float(torch.corrcoef(torch.stack([ranks, torch.arange(1000).double()]))[0, 1])) < 0.1


def test_rows_with_the_same_chances_are_even_among_themselves() -> None:
    rare = torch.rand(900, generator=torch.Generator().manual_seed(1)) < 0.1  # these draw code 1 half of the time
    logits = torch.where(rare, 0.0, -30.0)[:, None] * torch.tensor([0.0, 1.0])
    for seed in range(20):
        made = inverse_cdf(logits, stratified(likeness(torch.softmax(logits, 1)), torch.Generator().manual_seed(seed)))
        assert not made[~rare].any()
        assert abs(int(made[rare].sum()) - int(rare.sum()) / 2) <= 4  # by chance: a standard deviation of 4.7


def test_draws_of_two_columns_are_independent() -> None:
    """Though both go by the same order of rows."""
    generator = torch.Generator().manual_seed(2)
    pairs = torch.stack([stratified(torch.arange(10_000.0), generator) for _ in range(2)])
    quarters = (pairs * 4).long()
    counts = torch.bincount(quarters[0] * 4 + quarters[1], minlength=16) / 10_000
    assert float((counts - 1 / 16).abs().max()) < 0.008
    near = torch.corrcoef(pairs[:, 1:] - pairs[:, :-1])[0, 1]
    assert abs(float(near)) < 0.05


def test_inverse_cdf_draws_by_probability() -> None:
    logits = torch.log(torch.tensor([[0.25, 0.5, 0.25]])).expand(4, 3)
    uniform = torch.tensor([0.1, 0.3, 0.74, 0.99], dtype=torch.float64)
    assert inverse_cdf(logits, uniform).tolist() == [0, 1, 1, 2]


def test_rows_without_a_possible_code_are_absent() -> None:
    logits = torch.tensor([[float("-inf")] * 2, [float("-inf"), 0.0]])
    assert inverse_cdf(logits, torch.tensor([0.5, 1e-9], dtype=torch.float64)).tolist() == [ABSENT, 1]


def test_the_first_code_is_given_as_often_as_expected_over_all_steps() -> None:
    """Rows that are alike share it evenly, and the others are drawn as they would be among themselves."""
    chances = torch.tensor([[0.1, 0.3, 0.6], [0.5, 0.5, 0.0]])
    for seed in range(10):
        generator, tilt = torch.Generator().manual_seed(seed), Tilt(torch.zeros(3), even=True)
        of = torch.cat([torch.randint(0, 2, (n,), generator=generator) for n in STEPS])
        made = torch.cat([drawn(torch.log(chances[o]), generator, tilt) for o in torch.split(of, STEPS)])
        assert int((made == 0).sum()) == round(float(tilt.expected[0]))
        assert not ((of == 1) & (made == 2)).any()
        rest = made[(of == 0) & (made > 0)]
        assert float((rest == 1).double().mean()) == pytest.approx(1 / 3, abs=0.12)
        assert abs(float((made[of == 0] == 0).double().mean()) - 0.1) < 0.08


def test_the_first_code_is_even_among_rows_with_other_chances() -> None:
    rare = torch.rand(900, generator=torch.Generator().manual_seed(1)) < 0.1
    chances = torch.where(rare[:, None], torch.tensor([0.5, 0.5]), torch.tensor([1e-12, 1.0]))
    made = drawn(torch.log(chances), torch.Generator().manual_seed(3), Tilt(torch.zeros(2), even=True))
    assert not (made == 0)[~rare].any()
    assert abs(int((made == 0).sum()) - int(rare.sum()) / 2) <= 0.5


def test_a_first_code_that_is_sure_or_impossible_stays_so() -> None:
    none = float("-inf")
    logits = torch.tensor([[0.0, none], [none, 0.0], [none, none]]).repeat(200, 1)
    made = drawn(logits, torch.Generator().manual_seed(0), Tilt(torch.zeros(2), even=True))
    assert made.tolist() == [0, 1, ABSENT] * 200
