"""What latent numbers are drawn from: a mixture of Gaussians that depends on what is known of a row, learnt with it.

A VAE whose latent numbers come from N(0, I) loses twice. Where N(0, I) has mass and the posteriors of real rows have
none, rows come out wrong; and since the normal has one mode, posteriors of rows with different categories must overlap
or pay for it, so that ties between columns come out too weak. With a prior that is learnt, as a mixture (Tomczak and
Welling, "VAE with a VampPrior", AISTATS 2018; Dilokthanakul et al., 2016) and given what is known (Sohn et al., NeurIPS
2015), each code can have a place of its own that is as frequent as the code.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

LOG_VARIANCES = (-6.0, 3.0)
SPREAD = 0.7  # of the components' means at the start


class KnownPrior(nn.Module):
    """p(z | known) of rows: `components` Gaussians in `latent` dimensions, independent within each of them.

    At the start it depends on nothing, and is about N(0, I).
    """

    def __init__(self, width: int, components: int, latent: int) -> None:
        super().__init__()
        self.sizes = (components, latent)
        self.shares = nn.Linear(width, components)
        self.means = nn.Linear(width, components * latent)
        self.log_variances = nn.Linear(width, components * latent)
        for layer in (self.shares, self.means, self.log_variances):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        nn.init.normal_(self.means.bias, std=SPREAD)
        nn.init.constant_(self.log_variances.bias, math.log(1 - SPREAD**2))

    def parts(self, known: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Log shares (N, K), means and log variances (N, K, L) for rows by what is known of them (N, width)."""
        means, log_variances = (f(known).view(-1, *self.sizes) for f in (self.means, self.log_variances))
        return torch.log_softmax(self.shares(known), 1), means, log_variances.clamp(*LOG_VARIANCES)

    def log_density(self, known: Tensor, latent: Tensor) -> Tensor:
        """(N,): log p(latent | known); latent (N, L)."""
        shares, means, log_variances = self.parts(known)
        return torch.logsumexp(shares + log_normal(latent[:, None], means, log_variances), 1)

    def draw(self, known: Tensor, generator: torch.Generator) -> Tensor:
        """float (N, L): a z for each row, drawn where the generator lives: one on a CPU draws the same everywhere."""
        shares, means, log_variances = self.parts(known)
        place, rows = generator.device, len(known)
        level = torch.rand(rows, 1, generator=generator, dtype=torch.float64, device=place).to(known.device)
        noise = torch.randn(rows, self.sizes[1], generator=generator, device=place).to(known.device)
        ends = torch.cumsum(shares.double().exp(), 1)
        part = torch.searchsorted(ends, level * ends[:, -1:], right=True).clamp(max=self.sizes[0] - 1)
        of_part = part[:, :, None].expand(-1, 1, self.sizes[1])
        mean, log_variance = (x.gather(1, of_part)[:, 0] for x in (means, log_variances))
        return mean + noise * torch.exp(log_variance / 2)


def log_normal(x: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """Log density of N(mean, diag(exp(log_variance))) at x, summed over the last dimension."""
    squares = (x - mean) ** 2 * torch.exp(-log_variance)
    return -(squares + log_variance + math.log(2 * math.pi)).sum(-1) / 2
