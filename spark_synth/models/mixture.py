"""A Gaussian mixture that is fitted to what an encoder makes of the data, and drawn from in the place of N(0, I).

What a VAE's decoder has learnt to read is the mean of its posteriors over the data, which is not quite the prior: where
that has mass and they have none, rows come out wrong ("holes"). Density estimation after training mends this (Ghosh et
al., "From Variational to Deterministic Autoencoders", ICLR 2020; Dai and Wipf, ICLR 2019).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

SUPPORT = 200  # points that a component stands for at least: a mixture must not remember single rows
ROUNDS = 60  # of expectation and maximisation
FLOOR = 1e-2  # added to variances


class Mixture(nn.Module):
    """`components` Gaussians with full covariance in `width` dimensions; all standard normal until they are fitted."""

    shares: Tensor
    means: Tensor
    roots: Tensor

    def __init__(self, components: int, width: int) -> None:
        super().__init__()
        self.register_buffer("shares", torch.full((components,), 1 / components))
        self.register_buffer("means", torch.zeros(components, width))
        self.register_buffer("roots", torch.eye(width).repeat(components, 1, 1))  # lower Cholesky factors

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """float32 (count, width), drawn where the generator lives: one on the CPU gives the same ones everywhere."""
        place, device = generator.device, self.means.device
        level = torch.rand(count, 1, generator=generator, dtype=torch.float64, device=place).to(device)
        noise = torch.randn(count, self.means.shape[1], generator=generator, device=place).to(device)
        ends = torch.cumsum(self.shares.double(), 0)
        part = torch.searchsorted(ends, level[:, 0] * ends[-1], right=True).clamp(max=len(ends) - 1)
        return self.means[part] + torch.bmm(self.roots[part], noise[:, :, None])[:, :, 0]

    @torch.no_grad()
    def fit(self, points: Tensor) -> None:
        """Maximum likelihood by EM (Dempster et al., 1977) on points (n, width); too few leave it as it is.

        Where there are fewer than SUPPORT points for each component, fewer of them are used.
        """
        x = points.detach().double().cpu()
        used = min(len(self.shares), len(x) // SUPPORT)
        if not used:
            return
        generator = torch.Generator().manual_seed(0)
        belongs = _nearest(x, _spread_out(x, used, generator))
        for _ in range(ROUNDS):
            shares, means, roots = _maximised(x, belongs)
            belongs = torch.softmax(_log_joint(x, shares, means, roots), 1)
        shares, means, roots = _maximised(x, belongs)
        self.shares.zero_()
        self.shares[:used] = shares.to(self.shares)
        self.means[:used] = means.to(self.means)
        self.roots[:used] = roots.to(self.roots)


def _spread_out(x: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """(count, L): points of x (n, L) that are likely to be far from each other (k-means++: Arthur and Vassilvitskii,
    2007)."""
    chosen = x[torch.randint(len(x), (1,), generator=generator)]
    for _ in range(count - 1):
        apart = torch.cdist(x, chosen).amin(1) ** 2 + 1e-12
        chosen = torch.cat([chosen, x[torch.multinomial(apart, 1, generator=generator)]])
    return chosen


def _nearest(x: Tensor, centres: Tensor) -> Tensor:
    """float64 (n, K): 1 for the nearest centre of each point."""
    return nn.functional.one_hot(torch.cdist(x, centres).argmin(1), len(centres)).double()


def _maximised(x: Tensor, belongs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Shares (K,), means (K, L) and Cholesky factors (K, L, L) by how much each point belongs (n, K) to components."""
    counts = belongs.sum(0) + 1e-9
    means = belongs.T @ x / counts[:, None]
    seconds = torch.einsum("nk,ni,nj->kij", belongs, x, x) / counts[:, None, None]
    covariances = seconds - means[:, :, None] * means[:, None, :]
    floor = FLOOR * torch.eye(x.shape[1], dtype=x.dtype)
    return counts / counts.sum(), means, torch.linalg.cholesky(covariances + floor)


def _log_joint(x: Tensor, shares: Tensor, means: Tensor, roots: Tensor) -> Tensor:
    """(n, K): log of share times density."""
    apart = (x[None] - means[:, None]).mT  # (K, L, n)
    scaled = torch.linalg.solve_triangular(roots, apart, upper=False)
    volume = roots.diagonal(dim1=1, dim2=2).log().sum(1) + x.shape[1] * math.log(2 * math.pi) / 2
    out: Tensor = torch.log(shares) - volume - (scaled**2).sum(1).T / 2
    return out
