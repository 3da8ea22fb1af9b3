"""The running mean of weights: what it is of, how long it remembers, and that training goes on from the weights."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from spark_synth.training import average
from spark_synth.training.average import AveragedAdamW


def trained(steps: int, of_epoch: int) -> tuple[nn.Linear, AveragedAdamW, list[Tensor]]:
    """A layer after some steps whose bias has no gradient, its optimizer, and its weights after each step."""
    torch.manual_seed(0)
    layer, seen = nn.Linear(3, 2), []
    optimizer = AveragedAdamW(layer.parameters(), lr=0.1)
    for taken in range(1, steps + 1):
        optimizer.zero_grad()
        (layer.weight * torch.randn(2, 3)).sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.average(taken, of_epoch)
        seen.append(layer.weight.detach().clone())
    return layer, optimizer, seen


def test_at_first_it_is_the_mean_of_all_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(average, "SHARE", 1.0)
    layer, optimizer, seen = trained(12, 1000)
    bias = layer.bias.detach().clone()
    with optimizer.averaged():
        torch.testing.assert_close(layer.weight.detach(), torch.stack(seen).mean(0))
        assert torch.equal(layer.bias, bias)  # no step moved it
    assert torch.equal(layer.weight, seen[-1])


def test_it_remembers_the_steps_of_some_epochs_and_a_share_of_those_so_far() -> None:
    layer, optimizer, seen = trained(40, 2)
    mean = seen[0]
    for taken, weight in enumerate(seen, 1):
        mean = torch.lerp(mean, weight, 1 / max(1.0, min(3.0, 0.1 * taken)))
    with optimizer.averaged():
        torch.testing.assert_close(layer.weight.detach(), mean)


def test_it_is_part_of_the_state() -> None:
    layer, optimizer, _ = trained(5, 100)
    other = AveragedAdamW(nn.Linear(3, 2).parameters(), lr=0.1)
    other.load_state_dict(optimizer.state_dict())
    (kept, *_) = other.param_groups[0]["params"]
    with optimizer.averaged(), other.averaged():
        assert torch.equal(layer.weight, kept)
