"""What drawing asks of a generator family, and what it is told: see models.network and models.sampling."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from torch import Tensor


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


@dataclass(frozen=True)
class Outline:
    """What is known of B families with N rows before these are drawn, longest first (lengths must descend).

    context int64 (B, P), lengths, start and size int64 (B,) as in FamilyBatch; fixed int64 (N, F): the leading
    sub-columns that are known; sets int64 (N, S): as in FamilyBatch.
    """

    context: Tensor
    lengths: Tensor
    start: Tensor
    size: Tensor
    fixed: Tensor | None = None
    sets: Tensor | None = None


class Course(Protocol):
    """Families on their way, row by row and sub-column by sub-column: what a trained network says of the next code.

    Of every step it hears, in this order: `begin`, for each sub-column behind the fixed ones `logits`, unless its codes
    are known, and `take`, then `end`. The first `active` families have a row in it.
    """

    def begin(self, codes: Tensor, rows: Tensor, position: Tensor, size: Tensor) -> None:
        """Rows begin: codes int64 (active, C), the fixed ones known; rows (active,) their numbers among all N;
        position and size (active,) of and in the whole family."""
        ...

    def logits(self, column: int, codes: Tensor) -> Tensor:
        """float (active, K) for `column` of the rows under way, codes (active, C) so far."""
        ...

    def take(self, column: int, codes: Tensor) -> None:
        """`column` of the rows is known now."""
        ...

    def choose(self, chosen: Tensor) -> None:
        """Row chosen[i] (active,) takes the place of row i (see Observed)."""
        ...

    def end(self, codes: Tensor) -> None:
        """The rows are whole: codes (active, C)."""
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
