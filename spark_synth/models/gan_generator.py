"""The generator of one level of a hierarchical GAN: noise and what is known become the rows of families.

Every row starts from its family's context, its place, its fixed sub-columns and noise, of the family and its own. An
LSTM goes over them row by row and hears what the row before became (network "lstm"); or a temporal CNN goes over what
all of a family's rows start from at once, and another, causal one over what the last rows became ("cnn"). Within a row,
sub-columns follow each other, and each hears what the row has so far: so any first ones may be known instead of drawn,
degrees for one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spark_synth.models.batch import ABSENT, FamilyBatch, of_sibling
from spark_synth.models.gan_columns import MixedColumns, one_hot, straight_through
from spark_synth.models.position import place_sum, place_tables
from spark_synth.models.running import running_sum
from spark_synth.models.shared import CodeTable, code_index, code_offsets, places
from spark_synth.models.spec import GanSpec, GeneratorSpec
from spark_synth.models.temporal import TemporalConv

State = tuple[Tensor, Tensor]
WINDOW = 6  # rows before a row that a CNN sees
UNHEARD = 0.3  # share of rows that do not hear the row before, in training


@dataclass(frozen=True)
class Made:
    """Rows of a generator: for each drawn sub-column what was chosen, (N, K) one-hot with a gradient and zero where it
    does not apply, and the logits (N, K) that it was chosen by."""

    chosen: list[Tensor]
    logits: list[Tensor]


class Places(nn.Module):
    """Embeddings of a row's position in its family, of the rows still to come, and of the family's size."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.tables = place_tables(width)

    def forward(self, position: Tensor, size: Tensor) -> Tensor:
        """(N, width); zero where the position is not known (negative)."""
        return place_sum(self.tables, position.clamp(min=0), size) * (position >= 0)[:, None]


class Generator(nn.Module):
    """All tensors on one device, float32. context: float (B, A), one-hot codes of all context sub-columns side by side.
    condition: int64 (B,), the code that is asked for, as a row of all codes of all sub-columns; their number: none."""

    offsets: Tensor

    def __init__(self, spec: GeneratorSpec, columns: MixedColumns) -> None:
        super().__init__()
        self.spec, self.columns, hidden, head = spec, columns, spec.hidden, spec.head
        self.gan = spec.gan or GanSpec()
        features, above = spec.code_features()
        self.register_buffer("offsets", code_offsets(spec.cards), persistent=False)
        self.base = nn.Parameter(torch.full((hidden,), 0.1))
        self.noise = nn.Linear(2 * self.gan.noise, hidden, bias=False)
        nn.init.normal_(self.noise.weight, std=1 / math.sqrt(2 * self.gan.noise))
        self.value = CodeTable(features, hidden, 1 / math.sqrt(max(1, len(spec.cards))))
        self.asked = nn.Embedding(sum(spec.cards) + 1, hidden, padding_idx=sum(spec.cards))
        self.mix = nn.Sequential(nn.Linear(hidden, hidden), nn.LeakyReLU(0.2), nn.Linear(hidden, hidden))
        if spec.context_cards:
            self.context = CodeTable(above, hidden, 1 / math.sqrt(len(spec.context_cards)))
        if spec.recurrent:
            self.places = Places(hidden)
            self.recalled = nn.Linear(hidden, hidden)
            self.same_before = CodeTable(features, head, 0.1)
            if self.convolved:
                self.conv = TemporalConv(hidden)
                self.window = nn.Linear(WINDOW * hidden, hidden)
            else:
                self.memory = nn.LSTMCell(hidden, hidden)
        self.inner = nn.Parameter(torch.randn(len(columns.drawn), hidden, head) * math.sqrt(1 / hidden))
        self.inner_bias = nn.Parameter(torch.full((len(columns.drawn), 1, head), 0.1))
        self.heads = nn.ModuleList([columns.head(j, head) for j in columns.drawn])

    @property
    def convolved(self) -> bool:
        """Whether a CNN sees what all rows of a family start from."""
        return self.spec.recurrent and self.gan.network == "cnn"

    def forward(
        self,
        batch: FamilyBatch,
        context: Tensor,
        condition: Tensor,
        known: Tensor | None = None,
        generator: torch.Generator | None = None,
        noise: tuple[Tensor, Tensor] | None = None,
    ) -> Made:
        """Rows in the place of those of `batch`, of whose codes it sees: where sub-columns apply, the fixed ones, and
        those of the rows and sub-columns in `known`, bool (N, C). noise: of families (B, Z) and rows (N, Z), drawn
        where it is not given."""
        noise = noise or self.draw_noise(len(batch.lengths), batch.rows, generator)
        origin = self.origin(context, condition, noise[0])
        rows = self.rows(origin, batch, noise[1])
        tables = self.tables(self.value())
        if not self.spec.recurrent:
            return self.row(rows, tables, batch.codes, known, None, generator)
        return self._steps(rows, tables, batch, known, generator)

    def told(
        self, batch: FamilyBatch, context: Tensor, condition: Tensor, noise: tuple[Tensor, Tensor]
    ) -> list[Tensor]:
        """Logits (N, K) of each drawn sub-column where all rows and sub-columns before it are those of `batch`: what
        `forward` comes to if all is known, but for all rows at once. In training some rows do not hear the row before
        (as words are dropped by Bowman et al., CoNLL 2016): what is made hangs less on what was made before it."""
        index = code_index(batch.codes, self.offsets).index_select(1, places(tuple(self.columns.drawn), context.device))
        weight, position = self.value(), batch.position()
        rows = self.rows(self.origin(context, condition, noise[0]), batch, noise[1])
        if self.training:
            position = position * (torch.rand(position.shape, device=position.device) >= UNHEARD)
        if self.spec.recurrent:
            before = of_sibling(F.embedding_bag(index, weight, mode="sum"), position, 0)
            rows = self._recall_all(rows, before, batch)
        layers = torch.baddbmm(self.inner_bias, running_sum(weight, rows, index.T.contiguous()), self.inner)
        if self.spec.recurrent:
            table = self.same_before()
            layers = layers + F.embedding(of_sibling(index, position, len(table) - 1).T, table)
        layers = F.leaky_relu(layers, 0.2)
        return [head(layer) for head, layer in zip(self.heads, layers, strict=True)]

    def draw_noise(self, families: int, rows: int, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        """Of families (B, Z) and of rows (N, Z)."""
        like = self.base
        device = like.device if generator is None else generator.device
        size = (families + rows, self.gan.noise)
        drawn = torch.randn(size, generator=generator, device=device).to(like)
        return drawn[:families], drawn[families:]

    def origin(self, context: Tensor, condition: Tensor, noise: Tensor) -> Tensor:
        """(B, H): what all rows of a family start from."""
        state = self.base + noise @ self.noise.weight[:, : self.gan.noise].T + self.asked(condition)
        if self.spec.context_cards:
            state = state + context @ self.context()[:-1]
        out: Tensor = state + self.mix(F.leaky_relu(state, 0.2))
        return out

    def rows(self, origin: Tensor, batch: FamilyBatch, noise: Tensor) -> Tensor:
        """(N, H): what rows start from, before anything is known of the rows before them."""
        family, position = batch.family(), batch.position()
        state = origin.index_select(0, family) + noise @ self.noise.weight[:, self.gan.noise :].T
        if self.spec.fixed:
            index = code_index(batch.codes, self.offsets)[:, : self.spec.fixed]
            state = state + F.embedding_bag(index, self.value(), mode="sum")
        if self.spec.recurrent:
            start = batch.start[family]
            state = state + self.places(torch.where(start < 0, start, start + position), batch.size[family])
        if self.convolved:
            state = self.conv(state, position, batch.lengths[family] - 1 - position)
        return state

    def recall(self, rows: Tensor, before: Tensor, state: State | None) -> tuple[Tensor, State]:
        """(n, H): what rows come to that start from `rows`, after rows that `before` stands for, and the new state."""
        if not self.convolved:
            state = self.memory(rows + before, state)
            return rows + self.recalled(state[0]), state
        last = before.new_zeros(len(rows), (WINDOW - 1) * rows.shape[1]) if state is None else state[0]
        seen = torch.cat([before, last], 1)
        state = (seen[:, : last.shape[1]], seen[:, :0])
        return rows + self.recalled(F.leaky_relu(self.window(seen), 0.2)), state

    def row(
        self,
        running: Tensor,
        tables: list[Tensor],
        codes: Tensor,
        known: Tensor | None,
        direct: list[Tensor] | None,
        generator: torch.Generator | None,
    ) -> Made:
        """Rows from `running` (n, H), sub-column by sub-column; codes (n, C): see forward."""
        made = Made([], [])
        for i, j in enumerate(self.columns.drawn):
            logits = self.logits(i, running, None if direct is None else direct[i])
            chosen = straight_through(logits, generator) * (codes[:, j] != ABSENT)[:, None]
            if known is not None:
                chosen = torch.where(known[:, j, None], one_hot(codes[:, j], self.spec.cards[j]), chosen)
            running = running + chosen @ tables[i]
            made.chosen.append(chosen)
            made.logits.append(logits)
        return made

    def logits(self, i: int, running: Tensor, direct: Tensor | None) -> Tensor:
        """(n, K) of the i-th drawn sub-column; direct (n, head): what the row before adds."""
        layer = F.relu(running) @ self.inner[i] + self.inner_bias[i]
        out: Tensor = self.heads[i](F.leaky_relu(layer if direct is None else layer + direct, 0.2))
        return out

    def tables(self, whole: Tensor) -> list[Tensor]:
        """For each drawn sub-column its codes' rows of a code table."""
        ends = [sum(self.spec.cards[: j + 1]) for j in self.columns.drawn]
        return [whole[end - self.spec.cards[j] : end] for j, end in zip(self.columns.drawn, ends, strict=True)]

    def _recall_all(self, rows: Tensor, before: Tensor, batch: FamilyBatch) -> Tensor:
        """(N, H): as `recall`, for all rows of families; before (N, H)."""
        if self.convolved:
            position = batch.position()[:, None]
            seen = [torch.where(position >= k, torch.roll(before, k, 0), 0.0) for k in range(WINDOW)]
            out: Tensor = self.recalled(F.leaky_relu(self.window(torch.cat(seen, 1)), 0.2))
            return rows + out
        state: State | None = None
        at, parts = _steps_of(batch), []
        for now in at:
            state = None if state is None else (state[0][: len(now)], state[1][: len(now)])
            state = self.memory(rows[now] + before[now], state)
            parts.append(state[0])
        out = self.recalled(torch.cat(parts)[torch.cat(at).argsort()])
        return rows + out

    def _steps(
        self,
        rows: Tensor,
        tables: list[Tensor],
        batch: FamilyBatch,
        known: Tensor | None,
        generator: torch.Generator | None,
    ) -> Made:
        """Row by row."""
        direct_tables = self.tables(self.same_before())
        parts: list[Made] = []
        state: State | None = None
        at = _steps_of(batch)
        for now in at:
            active = len(now)
            before, direct = torch.zeros_like(rows[:active]), None
            if parts:
                last = [y[:active] for y in parts[-1].chosen]
                before = torch.stack([y @ t for y, t in zip(last, tables, strict=True)]).sum(0)
                direct = [y @ t for y, t in zip(last, direct_tables, strict=True)]
            state = None if state is None else (state[0][:active], state[1][:active])
            running, state = self.recall(rows[now], before, state)
            told = None if known is None else known[now]
            parts.append(self.row(running, tables, batch.codes[now], told, direct, generator))
        back = torch.cat(at).argsort()
        columns = range(len(self.columns.drawn))
        return Made(
            [torch.cat([p.chosen[i] for p in parts])[back] for i in columns],
            [torch.cat([p.logits[i] for p in parts])[back] for i in columns],
        )


def _steps_of(batch: FamilyBatch) -> list[Tensor]:
    """int64 (n,) a step: the rows that come next in the families still under way, the longest families first, so that
    these are always the first of those before."""
    order = batch.lengths.argsort(descending=True, stable=True)
    first = (torch.cumsum(batch.lengths, 0) - batch.lengths)[order]
    lengths = batch.lengths[order].cpu()
    return [first[: int((lengths > step).sum())] + step for step in range(batch.longest)]
