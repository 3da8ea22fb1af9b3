"""Training of a hierarchical GAN: critics and generators of all levels take turns."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from spark_synth.models.batch import ABSENT, FamilyBatch
from spark_synth.models.gan_columns import NominalHead
from spark_synth.models.gan_distance import code_counts, collapsed
from spark_synth.models.gan_level import GanLevel
from spark_synth.models.hierarchical_gan import HierarchicalGan
from spark_synth.training.average import exchanged

BETAS = (0.5, 0.9)  # of Adam (Gulrajani et al., 2017; Xu et al., 2019)
DECAY = 1e-6  # of the generators' weights (Xu et al., 2019)
# Turns from one in which critics judge to the next: rows that they judge are made one after the other, which is slow.
JUDGED = 16
DYING = 0.5  # of a code's real frequency, below which it is helped
REVIVED, FARTHEST = 3, 3.0  # rounds in which codes are helped, and nats that one moves in a round at most
MEMORY = 0.99  # of the running mean of the generators' weights


@dataclass(frozen=True)
class Turn:
    """What one turn came to, by table: losses of critic and generator, if it was one with critics, and the bound on the
    negative log likelihood of its rows; scalars on the device."""

    critic: dict[str, Tensor]
    generator: dict[str, Tensor]
    evidence: dict[str, Tensor]


class Alternation:
    """Optimizers of a hierarchical GAN, and the running mean of its generators' weights, which makes better rows than
    the weights of any one step (Yazici et al., ICLR 2019)."""

    def __init__(self, gan: HierarchicalGan, rate: float = 5e-4) -> None:
        self.gan = gan
        levels = list(gan.levels.values())
        makers = [p for x in levels for part in (x.generator, x.recogniser) for p in part.parameters()]
        critics = [p for x in levels for p in x.critic.parameters()]
        self.makers = torch.optim.Adam(makers, lr=rate, betas=BETAS, weight_decay=DECAY)
        self.critics = torch.optim.Adam(critics, lr=rate, betas=BETAS)
        self.means = [p.detach().clone() for p in makers]
        self.turns = 0

    def turn(self, batches: dict[str, FamilyBatch]) -> Turn:
        """One step of the generators of every level that a batch is there for. Each hears what real rows say by
        themselves and, every few turns after a step of the critics, its own critic and those of the levels below."""
        critic: dict[str, Tensor] = {}
        made: dict[str, Tensor] = {}
        tables = [name for name, level in self.gan.levels.items() if name in batches and level.columns.drawn]
        if self.turns % JUDGED == 0:
            self._learn("critic")
            critic = {name: self.gan.critic_loss(name, batches[name]) for name in tables}
            _step(self.critics, [*critic.values()])
        self._learn("generator")
        if self.turns % JUDGED == 0:
            made = {name: self.gan.generator_loss(name, batches[name]) for name in tables}
        evidence = {name: self.gan.evidence_loss(name, batches[name]) for name in tables}
        _step(self.makers, [*made.values(), *evidence.values()])
        self._average()
        parts = (critic, made, evidence)
        return Turn(*({name: loss.detach() for name, loss in part.items()} for part in parts))

    def averaged(self) -> AbstractContextManager[None]:
        """Within it, generators have the mean of their weights."""
        return exchanged(self._weights(), self.means)

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next turn depends on, beside the weights and the random numbers."""
        return {
            "makers": self.makers.state_dict(),
            "critics": self.critics.state_dict(),
            "means": [m.clone() for m in self.means],
            "turns": self.turns,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` was taken."""
        self.makers.load_state_dict(state["makers"])
        self.critics.load_state_dict(state["critics"])
        for mean, stored in zip(self.means, state["means"], strict=True):
            mean.copy_(stored)
        self.turns = state["turns"]

    def set_rate(self, rate: float) -> None:
        """Of the turns that follow."""
        for group in (*self.makers.param_groups, *self.critics.param_groups):
            group["lr"] = rate

    def _learn(self, part: str) -> None:
        """Gradients are taken for one side alone; those to what it sees of the other side pass through it."""
        for level in self.gan.levels.values():
            level.critic.requires_grad_(part == "critic")
            level.generator.requires_grad_(part == "generator")

    @torch.no_grad()
    def _average(self) -> None:
        self.turns += 1
        memory = min(MEMORY, (1 + self.turns) / (10 + self.turns))
        for mean, weight in zip(self.means, self._weights(), strict=True):
            mean.lerp_(weight, 1 - memory)

    def _weights(self) -> list[Tensor]:
        return [p for group in self.makers.param_groups for p in group["params"]]


def collapsed_columns(gan: HierarchicalGan, table: str, held_out: list[FamilyBatch]) -> list[int]:
    """Sub-columns of a table in which the generator has collapsed: see models.gan_distance."""
    level = gan.levels[table]
    spec = level.spec
    real, fake = code_counts(spec, held_out), code_counts(spec, [level.twin(b) for b in held_out])
    return [j for j in collapsed(real, fake) if j in level.columns.drawn]


@torch.no_grad()
def revive_codes(level: GanLevel, batch: FamilyBatch) -> None:
    """Move the logits of nominal codes that rows made in the place of those of `batch` have, by their chances, less
    than half as often as training data: a code that critics rarely see dies out.

    Rows are made anew in each round, as columns hang on each other.
    """
    for turn in range(REVIVED if level.spec.frequencies else 0):
        made = level.make(batch, torch.Generator().manual_seed(turn))
        for i, j in enumerate(level.columns.drawn):
            there, counts = batch.codes[:, j] != ABSENT, level.columns.counts(j).to(batch.codes.device)
            head = level.generator.heads[i]
            if isinstance(head, NominalHead) and bool(there.any()) and bool(counts.any()):
                chance, wanted = F.softmax(made.logits[i][there], 1).mean(0).double(), counts / counts.sum()
                step = torch.log(wanted / chance.clamp(min=1e-30)).clamp(max=FARTHEST)
                head.usual.add_(torch.where(chance < DYING * wanted, step, 0.0).float())


def _step(optimizer: torch.optim.Optimizer, losses: list[Tensor]) -> None:
    if not losses:
        return
    optimizer.zero_grad(set_to_none=True)
    torch.stack(losses).sum().backward()  # type: ignore[no-untyped-call]
    optimizer.step()
