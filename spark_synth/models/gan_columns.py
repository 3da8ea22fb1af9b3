"""Mixed columns of a GAN: what its critic sees of codes, and how its generator says which code comes next.

Nominal sub-columns are one-hot. Ordered ones are normalised by mode (Xu et al., NeurIPS 2019): a few modes of their
places (models.order), one-hot, and the offset inside the mode; codes without a place (NULL) are modes of their own.
The critic sees codes alone on both sides: the generator's are drawn by Gumbel-softmax, straight through (Jang et al.,
ICLR 2017), and then normalised like real ones. It could tell offsets that fit no code from real ones by that alone, and
what is drawn in training is what is drawn when sampling. Codes that training data does not have cannot be drawn.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spark_synth.models.batch import ABSENT
from spark_synth.models.order import places_in_order
from spark_synth.models.outputs import IMPOSSIBLE, drawn_columns
from spark_synth.models.spec import GeneratorSpec

MODES = 5  # of an ordered sub-column, at most
ROUNDS = 60  # of expectation maximisation
LIGHT = 0.01  # share of the rows below which a mode is dropped
REACH = 4.0  # standard deviations of its mode that an offset of 1 stands for
LEAST = 1e-13  # chance of a code that its modes are far from
TEMPERATURE = 0.5  # of the Gumbel-softmax


class Modes:
    """A mixture of normal distributions over the places of a sub-column's codes, fitted to how often these occur.

    means, widths: float (M,); shares: float (K, M), of each code's rows those of every mode; the last modes are those
    of the codes without a place, one each, and have no width.
    """

    def __init__(self, place: Tensor, counts: Tensor) -> None:
        ordered = ~torch.isnan(place)
        self.place = torch.where(ordered, place, 0.0).float()
        weights, means, widths = _fitted(place[ordered], counts[ordered])
        without = torch.nonzero(~ordered)[:, 0]
        apart = torch.zeros(len(place), len(means) + len(without))
        apart[ordered, : len(means)] = _shares(place[ordered], weights, means, widths).float()
        apart[without, len(means) + torch.arange(len(without))] = 1.0
        self.shares, self.normal = apart, len(means)
        self.means, self.widths = means.float(), widths.float()

    def numbers(self) -> Tensor:
        """float (K, M + 1): of every code its likeliest mode, one-hot, and where in it, in [-1, 1]."""
        likeliest = self.shares.argmax(1)
        mode = F.one_hot(likeliest, self.shares.shape[1]).float()
        normal = likeliest < self.normal
        of = likeliest.clamp(max=max(self.normal - 1, 0))
        offset = (self.place - self.means[of]) / (REACH * self.widths[of]) if self.normal else self.place
        return torch.cat([mode, torch.where(normal, offset.clamp(-1, 1), 0.0)[:, None]], 1)


class NominalHead(nn.Module):
    """Logits over codes from a layer (N, head); without weights, the log frequencies."""

    def __init__(self, head: int, counts: Tensor) -> None:
        super().__init__()
        self.out = nn.Linear(head, len(counts))
        nn.init.zeros_(self.out.bias)
        self.usual = nn.Parameter(log_frequencies(counts))

    def forward(self, layer: Tensor) -> Tensor:
        """(N, K)."""
        logits: Tensor = self.out(layer) + self.usual
        return logits


class OrderedHead(nn.Module):
    """Logits over codes from a layer (N, head) by way of mode and offset.

    A code's chance is the sum over modes of the mode's probability times a kernel around the mode's mean plus the
    offset, on the places of its codes and weighted by how often they occur in it. The kernel's width is the network's
    too: it starts wide, so that without weights chances are the frequencies, and narrows where noise tells the place.
    """

    inside: Tensor
    alone: Tensor
    place: Tensor
    means: Tensor
    widths: Tensor

    def __init__(self, head: int, counts: Tensor, modes: Modes) -> None:
        super().__init__()
        possible = counts > 0
        smoothed = torch.where(possible, counts + 0.05, 0.0)[:, None] * modes.shares
        of_mode = smoothed.sum(0)
        inside = torch.log(smoothed.clamp(min=1e-30)) - torch.log(of_mode.clamp(min=1e-30))
        inside = torch.where(smoothed > 0, inside, IMPOSSIBLE)
        self.register_buffer("inside", inside.T.contiguous().float(), persistent=False)  # (M, K)
        # of the modes without a width, each of which has one code
        self.register_buffer("alone", F.softmax(self.inside[modes.normal :], 1), persistent=False)
        self.register_buffer("place", modes.place, persistent=False)
        self.register_buffer("means", modes.means, persistent=False)
        self.register_buffer("widths", modes.widths, persistent=False)
        self.out = nn.Linear(head, modes.shares.shape[1] + 2)
        nn.init.zeros_(self.out.bias)
        usual = torch.where(of_mode > 0, torch.log(of_mode.clamp(min=1e-30) / of_mode.sum().clamp(min=1e-30)), -20.0)
        self.usual = nn.Parameter(torch.cat([usual.float(), torch.tensor([0.0, 2.0])]))
        self.register_buffer("possible", possible, persistent=False)

    def forward(self, layer: Tensor) -> Tensor:
        """(N, K)."""
        numbers = self.out(layer) + self.usual
        mode, offset, width = numbers[:, :-2], torch.tanh(numbers[:, -2]), numbers[:, -1]
        normal = len(self.means)
        centre = self.means + REACH * self.widths * offset[:, None]
        width = self.widths * torch.exp(width.clamp(-3, 3))[:, None]
        away = (self.place - centre[:, :, None]) / width[:, :, None]
        within = F.softmax(self.inside[:normal] - away.square().clamp(max=2e3) / 2, 2)
        chance = F.softmax(mode, 1)
        found = (chance[:, :normal, None] * within).sum(1) + chance[:, normal:] @ self.alone
        return torch.where(self.possible, torch.log(found + LEAST), IMPOSSIBLE)  # type: ignore[arg-type]


class MixedColumns(nn.Module):
    """The drawn sub-columns of a table, one after the other, as numbers for a critic."""

    def __init__(self, spec: GeneratorSpec) -> None:
        super().__init__()
        features, _ = spec.code_features()
        self.spec = spec
        self.drawn = drawn_columns(spec)
        self.modes: dict[int, Modes] = {}
        for j in self.drawn:
            place = places_in_order(features[j])
            if place is not None and bool((~torch.isnan(place)).sum() > 1):
                self.modes[j] = Modes(place, self.counts(j))
                self.register_buffer(f"numbers_{j}", self.modes[j].numbers(), persistent=False)
        self.nominal = [j for j in self.drawn if j not in self.modes]
        self.widths = [self.modes[j].shares.shape[1] + 1 if j in self.modes else spec.cards[j] for j in self.drawn]

    @property
    def width(self) -> int:
        """W, numbers of a row."""
        return sum(self.widths)

    def counts(self, j: int) -> Tensor:
        """float64 (K,): rows with each code of a sub-column in training data; all the same where that is unknown."""
        known = self.spec.frequencies[j] if self.spec.frequencies else [1.0] * self.spec.cards[j]
        return torch.tensor(known, dtype=torch.float64)

    def head(self, j: int, size: int) -> nn.Module:
        """What turns a layer (N, size) into logits (N, K) of a sub-column."""
        counts = self.counts(j)
        return OrderedHead(size, counts, self.modes[j]) if j in self.modes else NominalHead(size, counts)

    def numbers(self, chosen: list[Tensor]) -> Tensor:
        """float (N, W): of rows whose codes are one-hot or nearly so, (N, K) a drawn sub-column, zero where it does not
        apply; gradients pass."""
        each = zip(self.drawn, chosen, strict=True)
        return torch.cat([y @ self.get_buffer(f"numbers_{j}") if j in self.modes else y for j, y in each], 1)

    def one_hot(self, codes: Tensor) -> list[Tensor]:
        """float (N, K) a drawn sub-column, of codes (N, C); zero where one is ABSENT."""
        return [one_hot(codes[:, j], self.spec.cards[j]) for j in self.drawn]

    def encode(self, codes: Tensor) -> Tensor:
        """float (N, W): the numbers of codes (N, C)."""
        return self.numbers(self.one_hot(codes))


def one_hot(codes: Tensor, card: int) -> Tensor:
    """float (N, card) of codes (N,), zero where ABSENT."""
    return F.one_hot(codes.clamp(min=0), card).float() * (codes != ABSENT)[:, None]


def straight_through(logits: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """(N, K), one-hot: codes drawn by softmax(logits); the gradient is that of the Gumbel-softmax.

    generator: of the noise, else torch's own on the device of the logits.
    """
    soft = F.softmax((logits - torch.log(exponential(logits, generator))) / TEMPERATURE, 1)
    hard = F.one_hot(soft.argmax(1), logits.shape[1]).to(soft.dtype)
    return hard + soft - soft.detach()


def exponential(like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Exponential noise of the shape and on the device of a tensor, above zero."""
    if generator is None:
        return torch.empty_like(like).exponential_().clamp(min=1e-20)
    made = torch.empty(like.shape, device=generator.device).exponential_(generator=generator)
    return made.to(like.device).clamp(min=1e-20)


def log_frequencies(counts: Tensor) -> Tensor:
    """float (K,): smoothed; IMPOSSIBLE for codes that do not occur."""
    smoothed = counts + 0.05
    found = torch.log(smoothed / smoothed.sum())
    return torch.where(counts > 0, found, IMPOSSIBLE).float()


def _fitted(place: Tensor, counts: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Weights, means and widths (M,) float64 of the modes, by expectation maximisation (Dempster et al., 1977).

    It starts at means of equal mass. A mode is no narrower than half of the distance between neighbours.
    """
    counts = torch.where(counts.sum() > 0, counts, 1.0)
    order = place.argsort()
    mass = torch.cumsum(counts[order], 0) / counts.sum()
    count = min(MODES, len(torch.unique(place)))
    at = torch.searchsorted(mass, (torch.arange(count, dtype=torch.float64) + 0.5) / count).clamp(max=len(place) - 1)
    means = torch.unique(place[order][at])
    narrowest = 0.5 / max(1, len(place) - 1)
    widths = torch.full_like(means, max(narrowest, 0.5 / count))
    weights = torch.full_like(means, 1 / len(means))
    for _ in range(ROUNDS):
        of_mode = _shares(place, weights, means, widths) * counts[:, None]
        total = of_mode.sum(0)
        kept = total >= LIGHT * counts.sum()
        of_mode, total = of_mode[:, kept], total[kept]
        weights = total / total.sum()
        means = (of_mode * place[:, None]).sum(0) / total
        widths = torch.sqrt((of_mode * (place[:, None] - means).square()).sum(0) / total).clamp(min=narrowest)
    return weights, means, widths


def _shares(place: Tensor, weights: Tensor, means: Tensor, widths: Tensor) -> Tensor:
    """(K, M): the chance of each mode given a place."""
    away = (place[:, None] - means) / widths
    return F.softmax(torch.log(weights) - torch.log(widths * math.sqrt(2 * math.pi)) - away.square() / 2, 1)
