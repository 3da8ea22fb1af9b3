"""The levels of a tree of tables that train against their critics together: losses, and what fakes hang on.

Level by level as the tree goes down, a generator makes the rows of families whose owners are known, and a critic judges
pairs of owner and rows. Half of the owners are real, half are made by the level above, with the degrees of the real
ones, so that families are as long as real ones and the lower critic's gradient reaches the generator above it. Of long
families the critic sees stretches of some rows: what it is to judge has to be made row after row.
Critics are held to slopes of 1 (WGAN-GP: Gulrajani et al., 2017). Tables without an owner train by sampling, too (Xu et
al., NeurIPS 2019): half of their rows are picked by a code that is drawn by its log frequency and asked for. The other
half are not, and rows are always drawn like these: what is asked for would have to be drawn given links and ancestors.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spark_synth.models.batch import ABSENT, FamilyBatch
from spark_synth.models.gan_columns import one_hot
from spark_synth.models.gan_critic import Critic
from spark_synth.models.gan_generator import Made
from spark_synth.models.gan_level import GanLevel
from spark_synth.models.spec import GeneratorSpec

PENALTY = 10.0  # weight of the critic's slopes
ASKED = 0.5  # share of rows picked by a code
KNOWN = 0.5  # share of rows whose degrees the generator is told
STRETCH = 5  # rows of a family that are judged together, at most


@dataclass(frozen=True)
class Sample:
    """What a critic judges: rows (N, W) of families with a context (B, A), a condition (B,), and where they are."""

    rows: Tensor
    context: Tensor
    batch: FamilyBatch
    condition: Tensor

    def score(self, critic: Critic) -> Tensor:
        """(packs,)."""
        scores: Tensor = critic(self.rows, self.context, self.batch, self.condition)
        return scores


class HierarchicalGan(nn.Module):
    """All levels. specs: of tables, owners before what they own; parents: the owner of each table that has one here;
    degrees: how many of a table's first sub-columns say how many rows it owns, if these are not fixed ones."""

    def __init__(
        self, specs: dict[str, GeneratorSpec], parents: dict[str, str], degrees: dict[str, int] | None = None
    ) -> None:
        super().__init__()
        self.names, self.parents, self.degrees = list(specs), dict(parents), dict(degrees or {})
        for child, parent in self.parents.items():
            if self.names.index(parent) > self.names.index(child):
                raise ValueError(f"{parent} owns rows of {child}: it must come first")
            if specs[child].context_cards != [*specs[parent].cards, *specs[parent].context_cards]:
                raise ValueError(f"the context of {child} is not that of a row of {parent}")
        # A list: a ModuleDict takes no names like "items" or with a dot.
        self.parts = nn.ModuleList([GanLevel(spec) for spec in specs.values()])

    @property
    def levels(self) -> dict[str, GanLevel]:
        """By table, in the order of the tree."""
        return {name: part for name, part in zip(self.names, self.parts, strict=True) if isinstance(part, GanLevel)}

    def picked(self, table: str, batch: FamilyBatch) -> tuple[FamilyBatch, Tensor]:
        """What a step learns from: families of a batch, and the condition (B,) that they meet."""
        level = self.levels[table]
        if level.spec.context_cards or batch.longest != 1 or not level.columns.nominal:
            return batch, level.conditions(batch)
        return pick_by_code(level, batch)

    def fake(self, table: str, batch: FamilyBatch, condition: Tensor) -> tuple[Sample, Made]:
        """Rows of the generator in the place of those of `batch`, with gradients to all generators behind them."""
        level = self.levels[table]
        context = level.above(batch.context)
        if table in self.parents and len(context) > 1:
            soft = torch.randperm(len(context), device=context.device)[: len(context) // 2]
            context = context.index_copy(0, soft, self.owners(self.parents[table], batch.context[soft]))
        made: Made = level.generator(batch, context, condition, self._known(table, batch))
        return Sample(level.columns.numbers(made.chosen), context, batch, condition), made

    def owners(self, table: str, context: Tensor) -> Tensor:
        """float (B, A): contexts in which the generator of `table` has made the owner anew, in the place of the one in
        each context (B, P): with its degrees and fixed sub-columns, and with the same owner of its own."""
        level, columns = self.levels[table], len(self.levels[table].spec.cards)
        codes, one = context[:, :columns], context.new_ones(len(context))
        # Nothing in a context tells a row's place in its own family.
        alone = FamilyBatch(codes, context[:, columns:], one, -one, one)
        known = torch.zeros_like(codes, dtype=torch.bool)
        known[:, : self.degrees.get(table, 0)] = True
        above = level.above(alone.context)
        made: Made = level.generator(alone, above, level.conditions(alone), known)
        drawn = dict(zip(level.columns.drawn, made.chosen, strict=True))
        own = [drawn[j] if j in drawn else one_hot(codes[:, j], k) for j, k in enumerate(level.spec.cards)]
        return torch.cat([*own, above], 1)

    def critic_loss(self, table: str, batch: FamilyBatch) -> Tensor:
        """Scalar: how badly the critic tells rows from fakes, and how steep it is."""
        level = self.levels[table]
        batch, condition = self.picked(table, stretches(batch, STRETCH))
        with torch.no_grad():
            fake, _ = self.fake(table, batch, condition)
        real = Sample(level.columns.encode(batch.codes), level.above(batch.context), batch, condition)
        apart = fake.score(level.critic).mean() - real.score(level.critic).mean()
        return apart + PENALTY * gradient_penalty(level.critic, real, fake)

    def generator_loss(self, table: str, batch: FamilyBatch) -> Tensor:
        """Scalar: how well the critic tells fakes, and how far they are from what they were asked for."""
        level = self.levels[table]
        batch, condition = self.picked(table, stretches(batch, STRETCH))
        fake, made = self.fake(table, batch, condition)
        return asked_loss(level, made, batch, condition) - fake.score(level.critic).mean()

    def evidence_loss(self, table: str, batch: FamilyBatch) -> Tensor:
        """Scalar: see GanLevel."""
        return self.levels[table].evidence_loss(*self.picked(table, batch))

    def _known(self, table: str, batch: FamilyBatch) -> Tensor | None:
        """bool (N, C): degrees of some rows, as the level below tells them, if there are any to tell."""
        degrees = self.degrees.get(table, 0)
        if not degrees:
            return None
        told = torch.rand(batch.rows, 1, device=batch.codes.device) < KNOWN
        return told & (torch.arange(batch.codes.shape[1], device=told.device) < degrees)


def gradient_penalty(critic: Critic, real: Sample, fake: Sample) -> Tensor:
    """Scalar: mean over packs of (norm of the critic's gradient - 1)², between real and fake samples.

    One point between them a pack; a pack that first families fill up counts only if there is no other.
    """
    batch, packed = real.batch, critic.packed
    families = len(batch.lengths)
    whole = max(1, families // packed)
    of_family = torch.arange(families, device=real.rows.device) // packed
    share = torch.rand(-(-families // packed), 1, device=real.rows.device)[of_family]
    rows = _between(real.rows, fake.rows, share[batch.family()])
    context = _between(real.context, fake.context, share)
    scores = replace(real, rows=rows, context=context).score(critic)[:whole]
    slopes = torch.autograd.grad(scores.sum(), (rows, context), create_graph=True, allow_unused=True)
    squares = rows.new_zeros(families)
    if slopes[0] is not None:
        squares = squares.index_add(0, batch.family(), slopes[0].square().sum(1))
    if slopes[1] is not None:
        squares = squares + slopes[1].square().sum(1)
    of_pack = rows.new_zeros(-(-families // packed)).index_add(0, of_family, squares)[:whole]
    return (torch.sqrt(of_pack + 1e-12) - 1).square().mean()


def stretches(batch: FamilyBatch, rows: int) -> FamilyBatch:
    """Of families longer than that as many rows that follow each other, from anywhere in them."""
    if batch.longest <= rows:
        return batch
    lengths = batch.lengths.clamp(max=rows)
    skipped = (torch.rand(len(lengths), device=lengths.device) * (batch.lengths - lengths + 1)).long()
    family, position = batch.family(), batch.position()
    kept = (position >= skipped[family]) & (position < (skipped + lengths)[family])
    sets = None if batch.sets is None else batch.sets[kept]
    return FamilyBatch(batch.codes[kept], batch.context, lengths, batch.start + skipped, batch.size, sets)


def pick_by_code(level: GanLevel, batch: FamilyBatch) -> tuple[FamilyBatch, Tensor]:
    """Families of one row: a share of them picked anew, each by a code of some nominal sub-column that is drawn by its
    log frequency; and the condition (B,)."""
    families, device = len(batch.lengths), batch.codes.device
    index = torch.arange(families, device=device)
    condition = level.conditions(batch)
    column = torch.randint(len(level.columns.nominal), (families,), device=device)
    asked = torch.rand(families, device=device) < ASKED
    for i, j in enumerate(level.columns.nominal):
        codes = batch.codes[:, j]
        counts = level.columns.counts(j).to(device)
        here = one_hot(codes, level.spec.cards[j]).sum(0)
        weight = (torch.log1p(counts) / here.clamp(min=1))[codes.clamp(min=0)] * (codes != ABSENT)
        rows = torch.multinomial(weight + 1e-12, families, replacement=True)
        mine = asked & (column == i) & (codes[rows] != ABSENT)
        index = torch.where(mine, rows, index)
        condition = torch.where(mine, codes[rows] + level.generator.offsets[j], condition)
    sets = None if batch.sets is None else batch.sets[index]
    of = [x[index] for x in (batch.codes, batch.context, batch.lengths, batch.start, batch.size)]
    return FamilyBatch(of[0], of[1], of[2], of[3], of[4], sets), condition


def asked_loss(level: GanLevel, made: Made, batch: FamilyBatch, condition: Tensor) -> Tensor:
    """Scalar: cross-entropy of the codes that were asked for, a mean over rows of which any was."""
    total = level.generator.base.new_zeros(())
    if len(condition) != batch.rows:  # only families of one row are asked for codes
        return total
    for j, logits in zip(level.columns.drawn, made.logits, strict=True):
        code = condition - level.generator.offsets[j]
        if j in level.columns.nominal:
            target = torch.where((code >= 0) & (code < level.spec.cards[j]), code, ABSENT)
            total = total + F.cross_entropy(logits, target, ignore_index=ABSENT, reduction="sum")
    return total / (condition < level.no_condition).sum().clamp(min=1)


def _between(real: Tensor, fake: Tensor, share: Tensor) -> Tensor:
    """A point between two tensors (n, W), at shares (n, 1), that a gradient is taken at."""
    return (share * real.detach() + (1 - share) * fake.detach()).requires_grad_()
