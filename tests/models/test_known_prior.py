"""The prior of a graph VAE: about N(0, I) at the start, the mixture that it says, and learnt given what is known."""

from __future__ import annotations

import torch
from torch import Tensor, distributions, nn

from spark_synth.models.known_prior import KnownPrior, log_normal


def prior(components: int = 3, latent: int = 2) -> KnownPrior:
    """With weights away from their start."""
    torch.manual_seed(1)
    made = KnownPrior(4, components, latent)
    for layer in (made.shares, made.means, made.log_variances):
        nn.init.normal_(layer.weight, std=0.3)
    return made


def as_torch_has_it(made: KnownPrior, known: Tensor) -> distributions.Distribution:
    shares, means, log_variances = made.parts(known)
    normal = distributions.Independent(distributions.Normal(means, torch.exp(log_variances / 2)), 1)
    return distributions.MixtureSameFamily(distributions.Categorical(logits=shares), normal)


def test_it_starts_about_normal_and_knows_nothing() -> None:
    torch.manual_seed(0)
    made, known = KnownPrior(4, 200, 2), torch.randn(20_000, 4)
    drawn = made.draw(known, torch.Generator().manual_seed(1)).detach()
    assert drawn.mean(0).abs().max() < 0.15
    assert (torch.cov(drawn.T) - torch.eye(2)).abs().max() < 0.15
    assert torch.equal(made.draw(known + 1, torch.Generator().manual_seed(1)), drawn)


def test_its_density_is_that_of_the_mixture() -> None:
    made, known, latent = prior(), torch.randn(5, 4), torch.randn(5, 2)
    expected = as_torch_has_it(made, known).log_prob(latent)
    torch.testing.assert_close(made.log_density(known, latent), expected)
    normal = distributions.Normal(torch.ones(5, 2), torch.full((5, 2), 2.0))
    found = log_normal(latent, torch.ones(5, 2), torch.full((5, 2), 4.0).log())
    torch.testing.assert_close(found, normal.log_prob(latent).sum(1))  # type: ignore[no-untyped-call]


def test_draws_have_its_moments_and_follow_the_generator() -> None:
    made, known = prior(), torch.randn(1, 4).expand(40_000, -1)
    drawn = made.draw(known, torch.Generator().manual_seed(3)).detach()
    expected = as_torch_has_it(made, known[:1])
    assert (drawn.mean(0) - expected.mean[0]).abs().max() < 0.02
    assert (drawn.var(0) - expected.variance[0]).abs().max() < 0.04
    assert torch.equal(made.draw(known, torch.Generator().manual_seed(3)), drawn)
    assert not torch.equal(made.draw(known, torch.Generator().manual_seed(4)), drawn)


def test_two_clouds_are_learnt_given_what_is_known() -> None:
    """z is near -2 or 2; the latter in 20 % of the cases where the known number is 0, in 70 % where it is 1."""
    generator = torch.Generator().manual_seed(2)
    known = (torch.rand(3000, 1, generator=generator) < 0.5).float()
    right = torch.rand(3000, 1, generator=generator) < 0.2 + 0.5 * known
    latent = torch.where(right, 2.0, -2.0) + 0.3 * torch.randn(3000, 1, generator=generator)
    torch.manual_seed(0)
    made = KnownPrior(1, 4, 1)
    steps = torch.optim.Adam(made.parameters(), lr=0.03)
    for _ in range(200):
        loss = -made.log_density(known, latent).mean()
        steps.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        steps.step()
    for number, share in ((0.0, 0.2), (1.0, 0.7)):
        drawn = made.draw(torch.full((5000, 1), number), generator)
        assert abs(float((drawn > 0).float().mean()) - share) < 0.04
        assert float(((drawn.abs() - 2).abs() < 1).float().mean()) > 0.97
