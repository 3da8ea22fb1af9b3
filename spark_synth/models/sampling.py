"""Ancestral sampling of families: one sub-column at a time, all families of a block side by side.

What a row's next code is likely to be is the generator's matter (models.base.Course); what may be drawn, what is known,
and how codes are drawn from their chances is the same for all.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from spark_synth.models.base import Clock, Course, Masks, Observed, Outline, Tilt
from spark_synth.models.batch import ABSENT
from spark_synth.models.spec import GeneratorSpec


def draw_families(
    spec: GeneratorSpec,
    course: Course,
    outline: Outline,
    generator: torch.Generator,
    clock: Clock | None,
    masks: Masks | None,
    tilt: Mapping[int, Tilt] | None,
    observed: Observed | None = None,
) -> Tensor:
    """Codes int64 (N, C); lengths must descend, so that the families still running are always a prefix."""
    lengths = outline.lengths
    first = torch.cumsum(lengths, 0) - lengths
    codes = lengths.new_full((int(lengths.sum()), len(spec.cards)), ABSENT)
    if outline.fixed is not None:
        codes[:, : spec.fixed] = outline.fixed
    drawer = _Drawer(spec, course, generator, clock, masks, tilt or {}, observed)
    rows = lengths.cpu()  # asking a GPU at every step would wait for it
    for step in range(int(rows[0]) if len(rows) else 0):
        active = int((rows > step).sum())
        at = first[:active] + step
        row = codes[at]
        course.begin(row, at, outline.start[:active] + step, outline.size[:active])
        codes[at] = drawer.row(step, at, row)
    return codes


class _Drawer:
    """Draws the rows of the families in flight as their course says."""

    def __init__(
        self,
        spec: GeneratorSpec,
        course: Course,
        generator: torch.Generator,
        clock: Clock | None,
        masks: Masks | None,
        tilt: Mapping[int, Tilt],
        observed: Observed | None,
    ) -> None:
        self.spec, self.course, self.generator = spec, course, generator
        self.clock, self.masks, self.tilt = clock, masks, tilt
        self.observed, self.known = observed, observed.codes if observed else {}
        self.given = set(spec.given)

    def row(self, step: int, rows: Tensor, codes: Tensor) -> Tensor:
        """Draw the next row of the first families, those with the numbers `rows` (active,) of all, into `codes`
        (active, C), the fixed ones known: `codes`."""
        active = len(rows)
        for j in range(self.spec.fixed, len(self.spec.cards)):
            if j in self.known:
                codes[:, j] = self._observe(j, rows, codes)
            elif j in self.given:
                if codes[:, j].max() == ABSENT and self.clock is not None:
                    given = self.clock.advance(active, step, codes.cpu().numpy())
                    codes[:, self.spec.given] = torch.from_numpy(given).to(codes.device)
            else:
                codes[:, j] = self._draw(j, step, codes)
            self.course.take(j, codes)
        if self.observed and self.observed.draws > 1:
            chosen = self.observed.chosen(rows, self.generator)
            codes = codes[chosen]
            self.course.choose(chosen)
        self.course.end(codes)
        if self.masks:
            self.masks.drawn(codes.cpu().numpy())
        return codes

    def _observe(self, j: int, rows: Tensor, codes: Tensor) -> Tensor:
        """The known codes (active,) of a sub-column; how likely they are counts for their rows."""
        assert self.observed is not None
        known = self.known[j][rows]
        if j not in self.given and known.max() != ABSENT:
            chances = F.log_softmax(self.course.logits(j, codes), 1)
            of_known = chances.gather(1, known.clamp(min=0)[:, None])[:, 0]
            self.observed.weight[rows] += torch.where(known == ABSENT, 0.0, of_known).double()
        return known

    def _draw(self, j: int, step: int, codes: Tensor) -> Tensor:
        active = len(codes)
        allowed = self.masks.allowed(j, active, step, codes.cpu().numpy()) if self.masks else None
        if allowed is not None and not allowed.any():
            return codes.new_full((active,), ABSENT)
        logits, tilt = self.course.logits(j, codes), self.tilt.get(j)
        if tilt:
            logits = logits + tilt.added
        if allowed is not None:
            logits = logits + torch.log(torch.from_numpy(allowed).to(logits.device).float())
        return drawn(logits, self.generator, tilt)


def drawn(logits: Tensor, generator: torch.Generator, tilt: Tilt | None) -> Tensor:
    """One code per row, int64 (B,), by logits (B, K) to which `tilt` has been added; it counts the chances."""
    chances = F.softmax(logits, 1).nan_to_num()
    if tilt:
        tilt.expected += chances.sum(0)
    if not (tilt and tilt.even):
        return inverse_cdf(logits, stratified(likeness(chances), generator))
    rest = torch.nonzero(~_systematic(chances, generator, tilt))[:, 0]
    others = logits[rest]
    others[:, 0] = torch.where(chances[rest, 0] == 1, others[:, 0], float("-inf"))
    made = torch.zeros(len(logits), dtype=torch.int64, device=logits.device)
    made[rest] = inverse_cdf(others, stratified(likeness(F.softmax(others, 1).nan_to_num()), generator))
    return made


def _systematic(chances: Tensor, generator: torch.Generator, tilt: Tilt) -> Tensor:
    """bool (B,): rows that are given the first code, each with its chance, in all as many as these add up to.

    Systematic sampling with unequal probabilities (Madow, Annals of Mathematical Statistics, 1949), rows that are alike
    next to each other; what is left over is due when more rows are drawn.
    """
    order = _alike(likeness(chances), generator)
    ends = tilt.due + torch.cumsum(chances[order, 0].double(), 0)
    whole = torch.floor(ends)
    chosen = torch.empty(len(order), dtype=torch.bool, device=chances.device)
    chosen[order] = torch.diff(whole, prepend=whole.new_zeros(1)) > 0
    tilt.due = ends[-1] - whole[-1]
    return chosen


def inverse_cdf(logits: Tensor, uniform: Tensor) -> Tensor:
    """Draw one code per row (B, K) at the given uniforms; rows where nothing is possible become ABSENT."""
    best = logits.max(1, keepdim=True).values
    cumulative = torch.cumsum(torch.exp(logits - best), 1)
    level = uniform.to(cumulative.dtype) * cumulative[:, -1]
    drawn = torch.searchsorted(cumulative, level[:, None])[:, 0].clamp(max=logits.shape[1] - 1)
    return torch.where(torch.isinf(best[:, 0]), ABSENT, drawn)


def likeness(chances: Tensor) -> Tensor:
    """float (B,): the mean code of each row's chances (B, K); rows where it is about the same are likely to draw the
    same."""
    return chances @ torch.arange(chances.shape[1], dtype=chances.dtype, device=chances.device)


def stratified(alike: Tensor, generator: torch.Generator) -> Tensor:
    """n uniforms for rows with a `likeness` (n,): each is uniform, one lies in each n-th of [0, 1), and those of rows
    that are alike are even among themselves, too.

    Latin hypercube draws (McKay et al., 1979), taken in groups of about the root of n rows next to each other: counts
    of a small table come out as its probabilities say instead of with binomial noise, also where these differ by row.
    """
    n, device = len(alike), alike.device
    size = max(1, round(n**0.5))
    order = _alike(alike, generator)
    rows = torch.arange(n, device=device)
    group = rows // size
    inner = (group + _uniform((n,), generator, device)).argsort()
    place = torch.empty(n, dtype=torch.float64, device=device)
    place[inner] = (rows % size).double()  # a random order inside each group
    jitter = _uniform((2, n), generator, device)
    even = (place + jitter[0]) / (n - group * size).clamp(max=size)
    out = torch.empty(n, dtype=torch.float64, device=device)
    rank = torch.empty_like(order)
    rank[even.argsort()] = rows
    out[order] = (rank + jitter[1]) / n
    return out


def _alike(alike: Tensor, generator: torch.Generator) -> Tensor:
    """int64 (n,): rows in the order of their `likeness`, those that are the same in random order."""
    shuffled = torch.randperm(len(alike), generator=generator, device=generator.device).to(alike.device)
    return shuffled[alike[shuffled].argsort(stable=True)]


def _uniform(shape: tuple[int, ...], generator: torch.Generator, device: torch.device) -> Tensor:
    """Uniform float64 on `device`, drawn where the generator lives: one on the CPU gives the same ones everywhere."""
    return torch.rand(shape, generator=generator, dtype=torch.float64, device=generator.device).to(device)
