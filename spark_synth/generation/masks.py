"""What a row may not draw because of the rows that its family has already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from spark_synth.models.base import Masks
from spark_synth.models.batch import ABSENT

GOLDEN, SCATTER = 0x9E3779B97F4A7C15, 0xD1B54A32D192ED03  # odd; their multiples are evenly spread over 64 bits


@dataclass(frozen=True)
class Segments:
    """Which rows of its family each segment has, int64 (B,) each: how many `rows` from `start` on, of `size`; `family`
    is a number that its segments have in common."""

    start: np.ndarray
    rows: np.ndarray
    size: np.ndarray
    family: np.ndarray

    def only(self, at: np.ndarray) -> Segments:
        """Those with these numbers."""
        return Segments(self.start[at], self.rows[at], self.size[at], self.family[at])

    def parts(self, room: np.ndarray) -> np.ndarray:
        """int32 (B, K): how often each segment may have each code, in proportion to its rows; `room` in all of them."""
        rank, family = np.empty(len(room), np.uint64), self.family.astype(np.uint64)[:, None]
        rank[np.argsort(room, kind="stable")] = np.arange(len(room))  # rounding evens out among codes of like room
        turned = (rank * np.uint64(GOLDEN) + family * np.uint64(SCATTER)) >> np.uint64(32)
        size = self.size[:, None]
        phase = (turned * size.astype(np.uint64) >> np.uint64(32)).astype(np.int64)  # from 0 to size - 1
        before, after = ((at[:, None] * room + phase) // size for at in (self.start, self.start + self.rows))
        parts: np.ndarray = (after - before).astype(np.int32)
        return parts


class Room:
    """Implements models.base.Masks: a family links to a target once, so to a cluster as often as it has targets.

    The segments of a long family, which are drawn apart, have other targets each. room: (K,) by sub-column, how often
    each code may occur in a family. owned: bool (B,), the families that this holds for; rows without an owner are none.
    segments: None if all families are whole.
    """

    def __init__(self, room: Mapping[int, Sequence[int]], owned: np.ndarray, segments: Segments | None = None) -> None:
        self.room, self.owned = {j: np.asarray(most) for j, most in room.items()}, owned
        self.part = {j: most[None].astype(np.int32) for j, most in self.room.items()}  # of each segment, or of all
        self.used = {j: np.zeros((len(owned), len(most)), dtype=np.int32) for j, most in room.items()}
        self.share = np.ones((len(owned), 1))  # of its family's rows that each segment has
        if segments and len(cut := np.flatnonzero(owned & (segments.rows < segments.size))):
            some = segments.only(cut)
            self.share[cut, 0] = some.rows / some.size
            for j, most in self.room.items():
                self.part[j] = self.part[j].repeat(len(owned), 0)
                self.part[j][cut] = some.parts(most)

    def allowed(self, column: int, active: int, step: int, codes: np.ndarray) -> np.ndarray | None:
        """float32 (active, K), or None for all: the share of each code that is left; all where nothing is."""
        if column not in self.room:
            return None
        left = (self.part[column][:active] - self.used[column][:active]).clip(min=0)
        left = (left / (np.maximum(self.room[column], 1) * self.share[:active])).astype(np.float32)
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


class Course:
    """Implements models.base.Masks: times that follow the course of a real family, where the clock lets them.

    codes: int64 (N,) by time sub-column, of the rows of all families after each other, ABSENT where the course says
    nothing; lengths: int64 (B,), rows of each family; clock: what times are possible.
    """

    def __init__(self, codes: Mapping[int, np.ndarray], lengths: np.ndarray, clock: Masks) -> None:
        self.codes, self.clock = codes, clock
        self.first = np.cumsum(lengths) - lengths

    def allowed(self, column: int, active: int, step: int, codes: np.ndarray) -> np.ndarray | None:
        """bool (active, K): the one code of the course, or all that the clock allows."""
        possible = self.clock.allowed(column, active, step, codes)
        if column not in self.codes or possible is None:
            return possible
        have = self.codes[column][self.first[:active] + step]
        followed = (np.arange(possible.shape[1]) == have[:, None]) & (possible > 0)
        allowed: np.ndarray = np.where(followed.any(1, keepdims=True), followed, possible)
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
