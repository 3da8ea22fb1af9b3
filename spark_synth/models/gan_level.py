"""One table's part of a hierarchical GAN: generator and critic, and families drawn from the generator."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from spark_synth.models.base import Course, Outline
from spark_synth.models.batch import ABSENT, FamilyBatch
from spark_synth.models.gan_columns import MixedColumns, one_hot
from spark_synth.models.gan_critic import Critic
from spark_synth.models.gan_distance import distances
from spark_synth.models.gan_generator import Generator, Made, State
from spark_synth.models.gan_recogniser import Recogniser
from spark_synth.models.network import GeneratorNetwork
from spark_synth.models.shared import code_index
from spark_synth.models.spec import GeneratorSpec

HELD_OUT_SEED = 20_210_601  # of the rows that are compared with held-out ones
CHUNK = 1 << 15  # rows that a CNN makes at a time


class GanLevel(GeneratorNetwork):
    """Generator and critic of one table. All tensors on one device, float32."""

    def __init__(self, spec: GeneratorSpec) -> None:
        super().__init__(spec)
        self.columns = MixedColumns(spec)
        self.generator = Generator(spec, self.columns)
        self.critic = Critic(spec, self.columns)
        self.recogniser = Recogniser(spec, self.columns)

    @property
    def no_condition(self) -> int:
        """What stands for a condition where none is set."""
        return sum(self.spec.cards)

    def conditions(self, batch: FamilyBatch) -> Tensor:
        """int64 (B,): none for any family."""
        return torch.full_like(batch.lengths, self.no_condition)

    def above(self, context: Tensor) -> Tensor:
        """float (B, A): the one-hot codes of a context (B, P), side by side."""
        parts = [one_hot(context[:, i], card) for i, card in enumerate(self.spec.context_cards)]
        return torch.cat(parts, 1) if parts else torch.zeros(len(context), 0, device=context.device)

    def make(self, batch: FamilyBatch, generator: torch.Generator | None = None) -> Made:
        """Rows in the place of those of `batch`, without a condition."""
        made: Made = self.generator(batch, self.above(batch.context), self.conditions(batch), generator=generator)
        return made

    def evidence_loss(self, batch: FamilyBatch, condition: Tensor) -> Tensor:
        """Scalar: a bound on the negative log likelihood of the drawn sub-columns, in nats a row: see
        models.gan_recogniser. Rows that wait for the rows before them are told the real ones."""
        context = self.above(batch.context)
        noise, divergence = self.recogniser(self.columns.encode(batch.codes), context, batch)
        total: Tensor = divergence
        for j, logits in zip(self.columns.drawn, self.generator.told(batch, context, condition, noise), strict=True):
            total = total + F.cross_entropy(logits, batch.codes[:, j], ignore_index=ABSENT, reduction="sum")
        return total / batch.rows

    def drawn_codes(self, batch: FamilyBatch, made: Made) -> Tensor:
        """int64 (N, C): the codes of rows made in the place of those of `batch`, the others as they are there."""
        codes = batch.codes.clone()
        for j, chosen in zip(self.columns.drawn, made.chosen, strict=True):
            codes[:, j] = torch.where(codes[:, j] == ABSENT, ABSENT, chosen.argmax(1))
        return codes

    @torch.no_grad()
    def twin(self, batch: FamilyBatch) -> FamilyBatch:
        """Families of the generator in the place of those of `batch`, always with the same noise."""
        generator = torch.Generator().manual_seed(HELD_OUT_SEED)
        codes = self.drawn_codes(batch, self.make(batch, generator))
        return FamilyBatch(codes, batch.context, batch.lengths, batch.start, batch.size, batch.sets)

    def distances(self, batch: FamilyBatch) -> Tensor:
        """(C,): how far the generator's rows are from those of `batch`, see models.gan_distance; lower is better."""
        if not self.columns.drawn:
            return self.generator.base.new_zeros(len(self.spec.cards))
        return distances(self.spec, self.columns.drawn, batch, self.twin(batch))

    def column_losses(self, batch: FamilyBatch) -> Tensor:
        """(C,): `distances` times the number of rows; a GAN has no likelihood."""
        return self.distances(batch) * batch.rows

    def course(self, outline: Outline, generator: torch.Generator) -> Course:
        """See GeneratorNetwork."""
        return GanCourse(self, outline, generator)


class GanCourse:
    """A models.base.Course: the noise of all families and rows is drawn at its start."""

    def __init__(self, level: GanLevel, outline: Outline, generator: torch.Generator) -> None:
        self.level, self.net, self.spec = level, level.generator, level.spec
        self.first = torch.cumsum(outline.lengths, 0) - outline.lengths
        count = int(outline.lengths.sum())
        of_family, self.noise = self.net.draw_noise(len(outline.lengths), count, generator)
        batch = self._batch(outline, count)
        self.origin = self.net.origin(level.above(outline.context), level.conditions(batch), of_family)
        self.value: Tensor = self.net.value()
        self.tables = dict(zip(level.columns.drawn, self.net.tables(self.value), strict=True))
        self.number = {j: i for i, j in enumerate(level.columns.drawn)}
        # Whose rows a family continues with: its own until it gives way to another draw of the same one.
        self.source = torch.arange(len(outline.lengths), device=outline.lengths.device)
        self.state: State | None = None
        self.before: Tensor | None = None
        if self.spec.recurrent:
            self.same_before = dict(zip(level.columns.drawn, self.net.tables(self.net.same_before()), strict=True))
        # A CNN sees all rows of a family at once; else they wait until it is their turn.
        self.rows = self._all_rows(batch) if self.net.convolved else None

    def begin(self, codes: Tensor, rows: Tensor, position: Tensor, size: Tensor) -> None:
        """See Course."""
        active = len(rows)
        if self.rows is not None:
            start = self.rows[self.first[self.source[:active]] + rows - self.first[:active]]
        else:
            one = torch.ones_like(position)
            alone = FamilyBatch(codes, codes[:, :0], one, position, size)
            start = self.net.rows(self.origin[self.source[:active]], alone, self.noise[rows])
        if not self.spec.recurrent:
            self.running = start
            return
        before = torch.zeros_like(start) if self.before is None else self._looked_up(self.before[:active])
        state = None if self.state is None else (self.state[0][:active], self.state[1][:active])
        self.running, self.state = self.net.recall(start, before, state)

    def logits(self, column: int, codes: Tensor) -> Tensor:
        """See Course."""
        direct = None
        if self.spec.recurrent and self.before is not None:
            direct = _row_of(self.same_before[column], self.before[: len(codes), column])
        return self.net.logits(self.number[column], self.running, direct)

    def take(self, column: int, codes: Tensor) -> None:
        """See Course."""
        if column in self.tables:  # what is computed from others says nothing new
            self.running = self.running + _row_of(self.tables[column], codes[:, column])

    def choose(self, chosen: Tensor) -> None:
        """See Course."""
        active = len(chosen)
        self.source[:active] = self.source[chosen]
        if self.state is not None:
            self.state = (self.state[0][chosen], self.state[1][chosen])

    def end(self, codes: Tensor) -> None:
        """See Course."""
        self.before = codes

    def _batch(self, outline: Outline, count: int) -> FamilyBatch:
        """The families of an outline, what is not known of them absent."""
        codes = outline.lengths.new_full((count, len(self.spec.cards)), ABSENT)
        if outline.fixed is not None:
            codes[:, : self.spec.fixed] = outline.fixed
        return FamilyBatch(codes, outline.context, outline.lengths, outline.start, outline.size)

    def _all_rows(self, batch: FamilyBatch) -> Tensor:
        """(N, H): what a CNN makes of all rows, some families at a time."""
        ends = torch.cumsum(batch.lengths, 0).cpu()
        made, low = [self.origin[:0]], 0
        while low < len(ends):
            done = int(ends[low - 1]) if low else 0
            high = max(low + 1, int(torch.searchsorted(ends, done + CHUNK, right=True)))
            of, rows = slice(low, high), slice(done, int(ends[high - 1]))
            part = FamilyBatch(batch.codes[rows], batch.context[of], batch.lengths[of], batch.start[of], batch.size[of])
            made.append(self.net.rows(self.origin[of], part, self.noise[rows]))
            low = high
        return torch.cat(made)

    def _looked_up(self, codes: Tensor) -> Tensor:
        """(n, H): what the drawn sub-columns of codes (n, C) stand for."""
        drawn = self.level.columns.drawn
        if not drawn:
            return self.value.new_zeros(len(codes), self.value.shape[1])
        index = code_index(codes, self.net.offsets)[:, drawn]
        out: Tensor = F.embedding_bag(index, self.value, mode="sum")
        return out


def _row_of(table: Tensor, codes: Tensor) -> Tensor:
    """(n, H): rows of a table (K, H) for codes (n,), zero where ABSENT."""
    return F.embedding(codes.clamp(min=0), table) * (codes != ABSENT)[:, None]
