"""Ancestral sampling of families: one sub-column at a time, all families of a block side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from spark_synth.models.base import Clock, Masks, Observed, Tilt
from spark_synth.models.batch import ABSENT
from spark_synth.models.pairs import Surroundings

if TYPE_CHECKING:
    from spark_synth.models.autoregressive import Autoregressive


def draw_families(
    model: Autoregressive,
    context: Tensor,
    lengths: Tensor,
    start: Tensor,
    size: Tensor,
    generator: torch.Generator,
    clock: Clock | None,
    masks: Masks | None,
    fixed: Tensor | None,
    tilt: Mapping[int, Tilt] | None,
    sets: Tensor | None,
    observed: Observed | None = None,
) -> Tensor:
    """Codes int64 (N, C); lengths must descend, so that the families still running are always a prefix."""
    first = torch.cumsum(lengths, 0) - lengths
    codes = context.new_full((int(lengths.sum()), len(model.spec.cards)), ABSENT)
    if fixed is not None:
        codes[:, : model.spec.fixed] = fixed
    drawer = _Drawer(model, context, generator, clock, masks, tilt or {}, observed)
    rows = lengths.cpu()  # asking a GPU at every step would wait for it
    for step in range(int(rows[0]) if len(rows) else 0):
        active = int((rows > step).sum())
        at = first[:active] + step
        joined = None if sets is None else sets[at]
        codes[at] = drawer.row(step, at, start[:active] + step, size[:active], codes[at], joined)
    return codes


class _Drawer:
    """State of the families in flight: recurrent memory, previous row, summaries."""

    def __init__(
        self,
        model: Autoregressive,
        context: Tensor,
        generator: torch.Generator,
        clock: Clock | None,
        masks: Masks | None,
        tilt: Mapping[int, Tilt],
        observed: Observed | None,
    ) -> None:
        self.model, self.generator, self.clock, self.masks, self.tilt = model, generator, clock, masks, tilt
        self.observed, self.known = observed, observed.codes if observed else {}
        self.context = model.context_state(context, len(context))
        self.context_codes = context
        self.paths = model.summary_paths(context)
        self.given = set(model.spec.given)
        self.outputs = {
            j: (weight[i], bias[i, 0])
            for group, weight, bias in zip(model.groups, [o() for o in model.outer], model.outer_bias, strict=True)
            for i, j in enumerate(group)
        }
        self.values = model.value()
        self.same_before = model.same_before() if model.spec.recurrent else None
        self.memory = context.new_zeros((1, len(context), model.spec.hidden), dtype=torch.float32)
        self.before: Tensor | None = None

    def row(
        self, step: int, rows: Tensor, position: Tensor, size: Tensor, codes: Tensor, joined: Tensor | None
    ) -> Tensor:
        """Draw the next row of the first families, those with the numbers `rows` (active,) of all, into `codes`
        (active, C), the fixed ones known: `codes`.

        joined: the rows' sets (active, S).
        """
        model, cards, fixed, active = self.model, self.model.spec.cards, self.model.spec.fixed, len(rows)
        running = self._base(active, position, size)
        if joined is not None:
            running = running + model.sets_state(joined)
        origin = running
        self.links: dict[int, Tensor] = {}
        if fixed:
            index = model.seen_index(codes)[:, :fixed]
            mixed = model.fixed_state(index, self.values, self.context[:active])
            running = running + mixed
            origin = running - F.embedding_bag(index, self.values, mode="sum")
            self.links = model.linked_paths(index)
        for j in range(fixed, len(cards)):
            if j in self.known:
                codes[:, j] = self._observe(j, rows, running, codes)
            elif j in self.given:
                if codes[:, j].max() == ABSENT and self.clock is not None:
                    given = self.clock.advance(active, step, codes.cpu().numpy())
                    codes[:, model.spec.given] = torch.from_numpy(given).to(codes.device)
            else:
                codes[:, j] = self._draw(j, step, running, codes)
            running = running + F.embedding(self._index(j, codes), self.values)
        if self.observed and self.observed.draws > 1:
            chosen = self.observed.chosen(rows, self.generator)
            codes, running, origin = codes[chosen], running[chosen], origin[chosen]
        if model.spec.recurrent:
            inputs = (model.row_in(running - origin) + self.context[:active])[:, None]
            _, self.memory = model.memory(inputs, self.memory[:, :active].contiguous())
        self.before = codes
        if self.masks:
            self.masks.drawn(codes.cpu().numpy())
        return codes

    def _base(self, active: int, position: Tensor, size: Tensor) -> Tensor:
        base = self.context[:active]
        if not self.model.spec.recurrent:
            return base
        past = self.memory[0, :active] if self.before is not None else torch.zeros_like(base)
        out: Tensor = base + self.model.place_state(position, size) + self.model.row_out(past)
        return out

    def _index(self, j: int, codes: Tensor) -> Tensor:
        """int64 (B,): the rows of a code table that sub-column `j` of codes (B, C) stands for."""
        return torch.where(codes[:, j] == ABSENT, self.model.offsets[-1], codes[:, j] + self.model.offsets[j])

    def _around(self, codes: Tensor) -> Surroundings:
        active = len(codes)
        before = torch.full_like(codes, ABSENT) if self.before is None else self.before[:active]
        return Surroundings(codes, self.context_codes[:active], before)

    def _observe(self, j: int, rows: Tensor, running: Tensor, codes: Tensor) -> Tensor:
        """The known codes (active,) of a sub-column; how likely they are counts for their rows."""
        assert self.observed is not None
        known = self.known[j][rows]
        if j not in self.given and known.max() != ABSENT:
            chances = F.log_softmax(self._logits(j, running, codes), 1)
            of_known = chances.gather(1, known.clamp(min=0)[:, None])[:, 0]
            self.observed.weight[rows] += torch.where(known == ABSENT, 0.0, of_known).double()
        return known

    def _draw(self, j: int, step: int, running: Tensor, codes: Tensor) -> Tensor:
        active = len(running)
        allowed = self.masks.allowed(j, active, step, codes.cpu().numpy()) if self.masks else None
        if allowed is not None and not allowed.any():
            return codes.new_full((active,), ABSENT)
        logits, tilt = self._logits(j, running, codes), self.tilt.get(j)
        if tilt:
            logits = logits + tilt.added
        if allowed is not None:
            logits = logits + torch.log(torch.from_numpy(allowed).to(logits.device).float())
        return drawn(logits, self.generator, tilt)

    def _logits(self, j: int, running: Tensor, codes: Tensor) -> Tensor:
        """(active, K) of a sub-column, given the row so far."""
        model, active = self.model, len(running)
        at = j - model.spec.fixed
        hidden = F.relu(running) @ model.inner[at] + model.inner_bias[at]
        if self.before is not None and self.same_before is not None:
            hidden = hidden + F.embedding(self._index(j, self.before[:active]), self.same_before)
        if j in self.paths:
            hidden = hidden + self.paths[j][:active]
        if j in self.links:
            hidden = hidden + self.links[j]
        weight, bias = self.outputs[j]
        card = model.spec.cards[j]
        logits = F.relu(hidden) @ weight[:, :card] + bias[:card]
        if j in model.spec.pairs:
            logits = logits + model.pairs(j, self._around(codes))
        out: Tensor = logits
        return out


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
