"""The running sums against the same thing written out with look-ups and cumulative sums."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from spark_synth.models.running import running_sum

ROWS, COLUMNS, WIDTH, TABLE = 7, 5, 3, 6


def written_out(weight: Tensor, base: Tensor, index: Tensor) -> Tensor:
    """relu of `base` plus the exclusive running sum of the embeddings."""
    embedded = weight[index]
    before = torch.cumsum(embedded, 0) - embedded
    return torch.relu(base + before)


@pytest.fixture
def inputs() -> tuple[Tensor, Tensor, Tensor]:
    """weight, base, index; every look-up occurs more than once."""
    generator = torch.Generator().manual_seed(3)
    weight = torch.randn(TABLE, WIDTH, generator=generator, dtype=torch.float64)
    base = torch.randn(ROWS, WIDTH, generator=generator, dtype=torch.float64)
    index = torch.randint(0, TABLE, (COLUMNS, ROWS), generator=generator)
    return weight.requires_grad_(), base.requires_grad_(), index


def test_forward_equals_the_written_out_form(inputs: tuple[Tensor, Tensor, Tensor]) -> None:
    torch.testing.assert_close(running_sum(*inputs), written_out(*inputs))


def test_gradients_equal_the_written_out_form(inputs: tuple[Tensor, Tensor, Tensor]) -> None:
    weight, base, index = inputs
    pull = torch.randn(COLUMNS, ROWS, WIDTH, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    ours = torch.autograd.grad((running_sum(weight, base, index) * pull).sum(), (weight, base))
    theirs = torch.autograd.grad((written_out(weight, base, index) * pull).sum(), (weight, base))
    for mine, expected in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, expected)


def test_gradients_equal_finite_differences(inputs: tuple[Tensor, Tensor, Tensor]) -> None:
    weight, base, index = inputs
    assert torch.autograd.gradcheck(lambda w, b: running_sum(w, b, index), (weight, base))
