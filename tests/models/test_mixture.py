"""The prior of a graph VAE: it starts as N(0, I) and finds the Gaussians that points were drawn from."""

from __future__ import annotations

import torch

from spark_synth.models.mixture import SUPPORT, Mixture


def test_it_starts_as_the_standard_normal_and_follows_the_generator() -> None:
    prior = Mixture(3, 2)
    drawn = prior.draw(20_000, torch.Generator().manual_seed(1))
    assert drawn.mean(0).abs().max() < 0.03
    assert (torch.cov(drawn.T) - torch.eye(2)).abs().max() < 0.05
    assert torch.equal(drawn, prior.draw(20_000, torch.Generator().manual_seed(1)))
    assert not torch.equal(drawn, prior.draw(20_000, torch.Generator().manual_seed(2)))


def test_two_clouds_are_found() -> None:
    """A third of the points lie near (-2, 0), correlated by 0.8; the others near (2, 1), narrow."""
    generator = torch.Generator().manual_seed(2)
    root = torch.tensor([[1.0, 0.0], [0.8, 0.6]])
    wide = torch.randn(3000, 2, generator=generator) @ root.T + torch.tensor([-2.0, 0.0])
    narrow = torch.randn(6000, 2, generator=generator) * 0.3 + torch.tensor([2.0, 1.0])
    prior = Mixture(2, 2)
    prior.fit(torch.cat([wide, narrow]))
    first = int(prior.means[:, 0].argmin())
    assert abs(float(prior.shares[first]) - 1 / 3) < 0.02
    assert (prior.means[first] - torch.tensor([-2.0, 0.0])).abs().max() < 0.1
    assert (prior.means[1 - first] - torch.tensor([2.0, 1.0])).abs().max() < 0.03
    assert (prior.roots[first] @ prior.roots[first].T - root @ root.T).abs().max() < 0.1
    drawn = prior.draw(9000, generator)
    assert abs(float((drawn[:, 0] < 0.5).float().mean()) - 1 / 3) < 0.03


def test_few_points_leave_it_or_use_fewer_parts() -> None:
    few, some = Mixture(4, 2), Mixture(4, 2)
    few.fit(torch.randn(SUPPORT - 1, 2) + 5)
    assert not few.means.any()
    some.fit(torch.randn(2 * SUPPORT, 2, generator=torch.Generator().manual_seed(0)) + 5)
    assert (some.shares > 0).tolist() == [True, True, False, False]
    assert some.draw(1000, torch.Generator().manual_seed(0)).mean() > 4.5
