"""The interface that every generator family implements."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from spark_synth.models.batch import FamilyBatch


@dataclass
class Tilt:
    """What is added to the logits of a sub-column, and how often its codes are expected in the rows drawn with it.

    added: float (K,); even: its first code is given to as many rows as expected, to one, not by chance; expected:
    float64 (K,), counted as rows are drawn; due: float64 (), how much of the next row with the first code has come up.
    """

    added: Tensor
    even: bool = False
    expected: Tensor = field(init=False)
    due: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.expected = torch.zeros(len(self.added), dtype=torch.float64, device=self.added.device)
        self.due = self.expected.new_tensor(0.5)


@dataclass
class Observed:
    """Codes that rows are known to have, by sub-column int64 (N,), ABSENT where one does not apply.

    What comes before them is drawn given them by self-normalised importance sampling: families come `draws` times in a
    row, and after each row one of them stands for all, chosen by how likely the known codes are after what it has drawn
    (sampling importance resampling, row by row: Rubin, 1987; Gordon et al., 1993). weight: float64 (N,), the log of
    that chance, to which each row's is added.
    """

    codes: Mapping[int, Tensor]
    weight: Tensor
    draws: int = 1

    def chosen(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        """int64 (B,): for each of the families whose rows are `rows` (B,) the one that stands for it."""
        chances = torch.softmax(self.weight[rows].view(-1, self.draws), 1)
        level = torch.rand(len(chances), 1, generator=generator, dtype=torch.float64).to(chances.device)
        place = torch.searchsorted(torch.cumsum(chances, 1), level).clamp(max=self.draws - 1)
        first = torch.arange(len(chances), device=chances.device)[:, None] * self.draws
        return (first + place).expand(-1, self.draws).reshape(-1)


class Clock(Protocol):
    """Turns drawn time codes into absolute times, and these into the given sub-columns."""

    def advance(self, active: int, step: int, codes: np.ndarray) -> np.ndarray:
        """Given codes int64 (active, G) for the first `active` families at this step.

        codes: int64 (active, C) with the time sub-columns of the row already drawn.
        """
        ...


class Generator(Protocol):
    """A conditional generator of families of rows."""

    def loss(self, batch: FamilyBatch) -> Tensor:
        """Scalar training loss: mean over rows of the row's negative log likelihood, or its stand-in, in nats."""
        ...

    def sample(
        self,
        context: Tensor,
        lengths: Tensor,
        start: Tensor,
        size: Tensor,
        generator: torch.Generator,
        clock: Clock | None = None,
        masks: Masks | None = None,
        fixed: Tensor | None = None,
        tilt: Mapping[int, Tilt] | None = None,
        sets: Tensor | None = None,
        observed: Observed | None = None,
    ) -> Tensor:
        """Codes int64 (N, C) of new rows, families in the order given, longest first (lengths must descend).

        context int64 (B, P), lengths, start and size int64 (B,) as in FamilyBatch; fixed int64 (N, F): the leading
        sub-columns that are known; tilt: by sub-column, what is added to its logits; sets int64 (N, S): as in
        FamilyBatch; observed: what else is known.
        """
        ...


class Masks(Protocol):
    """Narrows what may be drawn where some codes are impossible, or partly used up within the family."""

    def allowed(self, column: int, active: int, step: int, codes: np.ndarray) -> np.ndarray | None:
        """(active, K) for `column`, bool: the codes that may be drawn, or float: the share of each that is left (see
        models.remaining); None for all."""
        ...

    def drawn(self, codes: np.ndarray) -> None:
        """Hear of the rows, int64 (active, C), that the first families have been given."""
        ...
