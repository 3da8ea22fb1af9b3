from __future__ import annotations

import pytest
import torch

from spark_synth.models.batch import ABSENT
from spark_synth.models.sampling import inverse_cdf, stratified


@pytest.mark.parametrize("n", [1, 2, 777])
def test_there_is_one_uniform_in_each_stratum(n: int) -> None:
    drawn = stratified(n, torch.Generator().manual_seed(n))
    assert drawn.dtype == torch.float64
    assert torch.floor(drawn * n).long().sort().values.tolist() == list(range(n))


def test_strata_come_in_random_order() -> None:
    drawn = stratified(1000, torch.Generator().manual_seed(0))
    ranks = drawn.argsort().argsort().double()
    assert abs(float(torch.corrcoef(torch.stack([ranks, torch.arange(1000).double()]))[0, 1])) < 0.1


def testinverse_cdf_draws_by_probability() -> None:
    logits = torch.log(torch.tensor([[0.25, 0.5, 0.25]])).expand(4, 3)
    uniform = torch.tensor([0.1, 0.3, 0.74, 0.99], dtype=torch.float64)
    assert inverse_cdf(logits, uniform).tolist() == [0, 1, 1, 2]


def test_rows_without_a_possible_code_are_absent() -> None:
    logits = torch.tensor([[float("-inf")] * 2, [float("-inf"), 0.0]])
    assert inverse_cdf(logits, torch.tensor([0.5, 1e-9], dtype=torch.float64)).tolist() == [ABSENT, 1]
