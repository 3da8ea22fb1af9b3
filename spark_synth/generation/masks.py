"""What a row may not draw because of the rows that its family has already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from spark_synth.models.base import Masks
from spark_synth.models.batch import ABSENT


class Room:
    """Implements models.base.Masks: a family links to a target once, so to a cluster as often as it has targets.

    room: (K,) by sub-column, how often each code may occur in a family. owned: bool (B,), the families that this holds
    for; rows without an owner are none.
    """

    def __init__(self, room: Mapping[int, Sequence[int]], owned: np.ndarray) -> None:
        self.room, self.owned = {j: np.asarray(most) for j, most in room.items()}, owned
        self.used = {j: np.zeros((len(owned), len(most)), dtype=np.int32) for j, most in room.items()}

    def allowed(self, column: int, active: int, step: int, codes: np.ndarray) -> np.ndarray | None:
        """float32 (active, K), or None for all: the share of each code that is left; all where nothing is."""
        if column not in self.room:
            return None
        room = self.room[column]
        left = ((room - self.used[column][:active]) / np.maximum(room, 1)).clip(min=0).astype(np.float32)
        allowed: np.ndarray = np.where(left.any(1, keepdims=True), left, np.float32(1))
        return allowed

    def drawn(self, codes: np.ndarray) -> None:
        """Count what the row of every family uses up."""
        for j, used in self.used.items():
            rows = np.flatnonzero((codes[:, j] != ABSENT) & self.owned[: len(codes)])
            used[rows, codes[rows, j]] += 1


class Given:
    """Implements models.base.Masks: codes that rows have in any case.

    codes: int64 (N,) by sub-column, of the rows of all families after each other; cards: codes that each has; lengths:
    int64 (B,), rows of each family.
    """

    def __init__(self, codes: Mapping[int, np.ndarray], cards: Sequence[int], lengths: np.ndarray) -> None:
        self.codes, self.cards = codes, cards
        self.first = np.cumsum(lengths) - lengths

    def allowed(self, column: int, active: int, step: int, codes: np.ndarray) -> np.ndarray | None:
        """bool (active, K): the code of the row at this step, or None for a sub-column that is drawn."""
        if column not in self.codes:
            return None
        have = self.codes[column][self.first[:active] + step]
        allowed: np.ndarray = np.arange(self.cards[column]) == have[:, None]
        return allowed

    def drawn(self, codes: np.ndarray) -> None:
        """Nothing is used up."""


class Together:
    """Implements models.base.Masks: each sub-column is narrowed by the first of `masks` that has something to say."""

    def __init__(self, masks: Sequence[Masks]) -> None:
        self.masks = masks

    def allowed(self, column: int, active: int, step: int, codes: np.ndarray) -> np.ndarray | None:
        """(active, K), or None for all."""
        found = (m.allowed(column, active, step, codes) for m in self.masks)
        return next((a for a in found if a is not None), None)

    def drawn(self, codes: np.ndarray) -> None:
        """Hear of the rows that the families have been given."""
        for mask in self.masks:
            mask.drawn(codes)
