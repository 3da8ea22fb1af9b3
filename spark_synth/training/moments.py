"""What a copula is computed from: sums over all training rows of a table, and the regressions that follow from them.

One pass over the packs sums products of regressors, and regressors by code; a sample of the rows serves for the axes of
codes without an order, for how much to shrink, and to bring the frequencies to the real ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from spark_synth.models.base import Observed
from spark_synth.models.batch import ABSENT, FamilyBatch, concat
from spark_synth.models.copula import Copula
from spark_synth.training.step import held_out_loss

RIDGES = (3.0, 30.0, 300.0)  # rows' worth of independence that coefficients are shrunk by: the best on held-out rows
CLASS_ROWS = 3.0  # rows at the mean of all that the mean of a code's rows is averaged with
CONSTANT = 1e-6  # variance of a score that says nothing
EXPLAINED = 0.98  # share of the variance of a normal that its regression may explain
SOFTER = (1.0, 0.85, 0.7, 0.55, 0.4, 0.25)  # shares of the regressions that are tried
SHAPE_ROWS = 6_000  # rows that this, and what one round of frequencies brings, is judged by
DRAWN_ROWS = 10_000  # rows that are drawn to see how frequent their codes are
FEW = 2.0  # rows that every code has besides
DAMPED = (0.7, 0.5, 0.35, 0.25)  # share of what is wrong that each round makes good: later ones average chance out
ROUNDS, LARGEST = 4, 1.0  # of bringing frequencies to the real ones, and how far one may go, in nats


@dataclass
class Moments:
    """Sums over rows, by variant of their coefficients (see Copula): rows (V,), products (V, D, D) of regressors, and
    for each drawn sub-column counts (V, K) of its codes and, with discriminants, sums (V, K, D) by code. float64."""

    rows: Tensor
    products: Tensor
    counts: dict[int, Tensor]
    sums: dict[int, Tensor]

    @staticmethod
    def none(model: Copula) -> Moments:
        """Of no rows."""
        v, d = model.variants, model.regressors
        counts = {j: torch.zeros(v, r.codes, dtype=torch.float64) for j, r in model.columns.items()}
        told = {j: r.codes for j, r in model.columns.items() if r.discriminates}
        sums = {j: torch.zeros(v, k, d, dtype=torch.float64) for j, k in told.items()}
        return Moments(torch.zeros(v, dtype=torch.float64), torch.zeros(v, d, d, dtype=torch.float64), counts, sums)

    def add(self, model: Copula, batch: FamilyBatch) -> None:
        """Count the rows of a batch, too."""
        known, variant = model.known(batch)
        for v in range(model.variants):
            rows = variant == v
            x = known[rows].double()
            self.rows[v] += len(x)
            self.products[v] += x.T @ x
            for j, counts in self.counts.items():
                codes = batch.codes[rows, j]
                there = codes != ABSENT
                counts[v] += torch.bincount(codes[there], minlength=counts.shape[1])
                if j in self.sums:
                    self.sums[j][v].index_add_(0, codes[there], x[there])

    def vector(self) -> np.ndarray:
        """All numbers as one float64 vector: what executors send, and what adds up."""
        parts = [self.rows, self.products, *self.counts.values(), *self.sums.values()]
        out: np.ndarray = torch.cat([p.flatten() for p in parts]).numpy()
        return out

    def take(self, vector: np.ndarray) -> None:
        """The inverse of `vector`."""
        first = 0
        for part in [self.rows, self.products, *self.counts.values(), *self.sums.values()]:
            part.copy_(torch.from_numpy(vector[first : first + part.numel()]).view(part.shape))
            first += part.numel()


def solve(model: Copula, moments: Moments, ridge: float) -> None:
    """Set the coefficients in place, shrunk by `ridge` rows."""
    model.weights.zero_()
    for v in range(model.variants):
        n = float(moments.rows[v])
        if n < 1:
            continue
        products = moments.products[v] / n
        mean = products[0].clone()
        spread = products - mean[:, None] * mean  # covariance, and zero for the constant
        for j, response in model.columns.items():
            known = _known_before(model, v, j)
            if response.ordered:
                share = float(moments.counts[j][v][response.order].sum()) / n
                _regress(model, v, j, known, mean, spread, share, ridge / n)
            if response.discriminates:
                _discriminate(model, v, j, known, mean, spread, moments, ridge / n)


def _known_before(model: Copula, variant: int, column: int) -> Tensor:
    """int64: the regressors, but for the constant, that are known when a sub-column is drawn."""
    own, _ = model.own.span(column)
    first, width = model.first_own, model.own.width
    later = range(first + width, first + 2 * width) if variant else range(0)
    return torch.tensor([*range(1, first + own), *later], dtype=torch.int64)


def _shrunk(covariance: Tensor, variance: Tensor, ridge: float) -> Tensor:
    """The covariance (D, D) of regressors with `ridge` times their `variance` (D,) over all rows added; those that
    never vary are left out."""
    return covariance + torch.diag(torch.where(variance > CONSTANT, variance * ridge, 1.0))


def _regress(
    model: Copula, v: int, j: int, known: Tensor, mean: Tensor, spread: Tensor, share: float, ridge: float
) -> None:
    """The mean of the normal behind a sub-column in order as a linear function of what is known.

    Scores are the means of the normal given the code, so that Cov(normal, x) is Cov(score, x) times
    Var(normal) / Var(score), for x that are linear in the normal; Var(normal) is that of the scores and what is left
    inside the codes. share: of the rows with a code in order, the others have a score of 0.
    """
    response, at = model.columns[j], model.first_own + model.own.span(j)[0]
    if share <= 0 or spread[at, at] <= 0:
        return
    variance = float(spread[at, at]) / share
    whole = variance + max(0.0, 1 - response.score_variance)
    inside = spread[known][:, known]
    together = spread[known, at] * whole / (variance * share)
    slopes = torch.linalg.solve(_shrunk(inside, inside.diagonal(), ridge), together)
    explained = float(slopes @ inside @ slopes)
    if explained > EXPLAINED * whole:
        slopes = slopes * (EXPLAINED * whole / explained) ** 0.5
        explained = EXPLAINED * whole
    model.weights[v, known, response.units[0]] = slopes.float()
    model.weights[v, 0, response.units[0]] = float(mean[at] / share - slopes @ mean[known])
    model.scale[v, j] = (whole - explained) ** 0.5
    response.explained[v] = explained


def _discriminate(
    model: Copula, v: int, j: int, known: Tensor, mean: Tensor, spread: Tensor, moments: Moments, ridge: float
) -> None:
    """Linear discriminants of the codes of a sub-column; or of those beside its order against the others."""
    response = model.columns[j]
    counts, sums = moments.counts[j][v], moments.sums[j][v][:, known]
    if response.ordered:
        out = torch.zeros(response.codes, dtype=torch.bool)
        out[response.beside] = True
        counts = torch.stack([counts[~out].sum(), counts[out].sum()])
        sums = torch.stack([sums[~out].sum(0), sums[out].sum(0)])
    total = counts.sum()
    if total < 1:
        return
    centre = sums.sum(0) / total
    apart = (sums - counts[:, None] * centre) / (counts + CLASS_ROWS)[:, None]
    whole = spread[known][:, known]
    within = whole - torch.einsum("k,kd,ke->de", counts / total, apart, apart)
    slopes = torch.linalg.solve(_shrunk(within, whole.diagonal(), ridge), apart.T)  # (D, K)
    offset = -(apart * slopes.T).sum(1) / 2 - centre @ slopes
    beside = response.share_beside
    overall = torch.tensor([1 - beside, beside]) if response.ordered else response.shares
    offset += torch.log((counts + 0.5 * overall) / (total + 0.5)) - torch.log(overall.clamp(min=1e-30))
    first, end = response.units
    if response.ordered:
        slopes, offset, first = slopes[:, 1:] - slopes[:, :1], offset[1:] - offset[:1], end - 1
    model.weights[v][known[:, None], torch.arange(first, end)] = slopes.float()
    model.weights[v, 0, first:end] = offset.float()


@torch.no_grad()
def fit_copula(
    model: Copula, moments: Moments, seen: list[FamilyBatch], held: list[FamilyBatch]
) -> list[tuple[float, float]]:
    """Set all coefficients in place; the losses of both samples with frequencies alone, and with everything.

    seen, held: samples of the training rows and of the held-out ones.
    """
    losses, few = {}, _few(seen, SHAPE_ROWS)
    plain = held_out_loss(model, few), held_out_loss(model, held)
    for ridge in RIDGES:
        solve(model, moments, ridge)
        losses[ridge] = held_out_loss(model, held)
    solve(model, moments, min(losses, key=lambda r: losses[r]))
    soften(model, moments, few)
    match_frequencies(model, few)
    match_drawn(model, moments, concat(seen))
    return [plain, (held_out_loss(model, few), held_out_loss(model, held))]


@torch.no_grad()
def soften(model: Copula, moments: Moments, seen: list[FamilyBatch]) -> None:
    """Shrink the regressions in place as far as `seen` gets likelier by it, column by column.

    Where many columns are coarse (half of a row are zeros), the correlations of the normals behind them, each taken by
    itself, need not fit together, and the regressions on all of them promise too much.
    """
    known = [(*model.known(b), b.codes) for b in seen]
    means = [moments.products[v, 0] / moments.rows[v].clamp(min=1) for v in range(model.variants)]
    for j, response in model.columns.items():
        if not response.ordered:
            continue
        rows = [(x[there], v[there], c[there, j]) for x, v, c in known for there in [c[:, j] != ABSENT]]
        unit = response.units[0]
        slopes, spread = model.weights[:, :, unit].clone(), model.scale[:, j].clone()
        losses = {}
        for share in SOFTER:
            for v in range(model.variants):
                _shrink(model, v, j, slopes[v], float(spread[v]), share, means[v].float())
            losses[share] = sum(float(F.cross_entropy(model.logits(j, x, v), c, reduction="sum")) for x, v, c in rows)
        best = min(losses, key=lambda s: losses[s])
        for v in range(model.variants):
            _shrink(model, v, j, slopes[v], float(spread[v]), best, means[v].float())


def _shrink(model: Copula, v: int, j: int, slopes: Tensor, spread: float, share: float, mean: Tensor) -> None:
    """`share` of the slopes (D,) of a column in order, whose normal had the spread `spread` about their whole; what
    they no longer explain is spread, and the mean stays."""
    unit = model.columns[j].units[0]
    kept = slopes * share
    kept[0] = slopes[0] + (1 - share) * float(slopes[1:] @ mean[1:])
    model.weights[v, :, unit] = kept
    model.scale[v, j] = (spread**2 + (1 - share**2) * max(0.0, model.columns[j].explained[v])) ** 0.5


@torch.no_grad()
def match_frequencies(model: Copula, batches: list[FamilyBatch]) -> None:
    """Shift the logits in place towards the code frequencies of `batches`, given the real codes before each."""
    known = [(*model.known(b), b.codes) for b in batches]
    for j, response in model.columns.items():
        rows = [(x[there], v[there], c[there, j]) for x, v, c in known for there in [c[:, j] != ABSENT]]
        real = torch.stack([torch.bincount(c, minlength=response.codes) for _, _, c in rows]).sum(0)
        first = int(model.own.offsets[j])
        for _ in range(ROUNDS):
            hoped = torch.stack([torch.softmax(model.logits(j, x, v), 1).sum(0) for x, v, _ in rows]).sum(0)
            shift = torch.log((real + 0.05) / (hoped + 0.05)).clamp(-LARGEST, LARGEST)
            model.shift[first : first + response.codes] += shift


@torch.no_grad()
def match_drawn(model: Copula, moments: Moments, real: FamilyBatch) -> None:
    """Shift the logits in place until rows that are drawn for the families of `real`, given what they themselves drew
    before, have the code frequencies of all rows: what a regression gets wrong adds up along columns and siblings."""
    real = _longest_first(real, DRAWN_ROWS)
    fixed = real.codes[:, : model.spec.fixed] if model.spec.fixed else None
    given = {j: real.codes[:, j] for j in model.spec.given}
    for turn, share in enumerate(DAMPED):
        weight = torch.zeros(real.rows, dtype=torch.float64)
        codes = model.sample(
            real.context,
            real.lengths,
            real.start,
            real.size,
            torch.Generator().manual_seed(turn),
            masks=_Pattern(real),
            fixed=fixed,
            observed=Observed(given, weight),
        )
        for j, response in model.columns.items():
            made = torch.bincount(codes[codes[:, j] != ABSENT, j], minlength=response.codes)
            wanted = moments.counts[j].sum(0)
            wanted = wanted * (made.sum() / wanted.sum().clamp(min=1))
            first = int(model.own.offsets[j])
            shift = torch.log((wanted + FEW) / (made + FEW)).clamp(-LARGEST, LARGEST)
            model.shift[first : first + response.codes] += share * shift.float()


class _Pattern:
    """Implements models.base.Masks: sub-columns that do not apply to the real rows do not apply to drawn ones."""

    def __init__(self, real: FamilyBatch) -> None:
        self.there = (real.codes != ABSENT).numpy()
        self.first = (torch.cumsum(real.lengths, 0) - real.lengths).numpy()

    def allowed(self, column: int, active: int, step: int, codes: np.ndarray) -> np.ndarray | None:
        """bool (active, 1)."""
        allowed: np.ndarray = self.there[self.first[:active] + step, column][:, None]
        return allowed

    def drawn(self, codes: np.ndarray) -> None:
        """Nothing is used up."""


def _few(batches: list[FamilyBatch], rows: int) -> list[FamilyBatch]:
    """The first batches with about so many rows, one at least."""
    before = np.cumsum([0, *[b.rows for b in batches]])
    return [b for b, n in zip(batches, before, strict=False) if n < rows]


def _longest_first(batch: FamilyBatch, rows: int) -> FamilyBatch:
    """The first families with about `rows` rows, those of most rows first, as they are drawn."""
    kept = max(1, int((torch.cumsum(batch.lengths, 0) <= rows).sum()))
    order = torch.argsort(batch.lengths[:kept], descending=True, stable=True)
    lengths = batch.lengths[order]
    first = (torch.cumsum(batch.lengths, 0) - batch.lengths)[order]
    inner = torch.arange(int(lengths.sum())) - torch.repeat_interleave(torch.cumsum(lengths, 0) - lengths, lengths)
    at = torch.repeat_interleave(first, lengths) + inner
    return FamilyBatch(batch.codes[at], batch.context[order], lengths, batch.start[order], batch.size[order])
