"""What a generator sees: families of rows as integer codes, never padded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

ABSENT = -1  # code of a sub-column that does not apply to a row: no embedding, no loss


@dataclass(frozen=True)
class FamilyBatch:
    """B families with N rows in total; the rows of a family follow each other in order.

    codes: int64 (N, C), sub-column codes, ABSENT where one does not apply.
    context: int64 (B, P), the codes of the owner row and its ancestors; P = 0 for a root table.
    lengths: int64 (B,), rows of each family in this batch, all >= 1, summing to N.
    start: int64 (B,), position of the first row within the whole family (a segment starts later than 0).
    size: int64 (B,), rows of the whole family.
    sets: int64 (N, S), the sets of rows that each row is joined with, one after the other, ABSENT at the end of smaller
    ones; None for a model without.
    """

    codes: Tensor
    context: Tensor
    lengths: Tensor
    start: Tensor
    size: Tensor
    sets: Tensor | None = None

    @property
    def rows(self) -> int:
        """N, the number of rows."""
        return self.codes.shape[0]

    @cached_property
    def longest(self) -> int:
        """Rows of the longest family in this batch; 0 if there is none."""
        return int(self.lengths.max()) if len(self.lengths) else 0

    def family(self) -> Tensor:
        """int64 (N,): the family index of each row."""
        families = torch.arange(len(self.lengths), device=self.lengths.device)
        return torch.repeat_interleave(families, self.lengths, output_size=self.rows)

    def position(self) -> Tensor:
        """int64 (N,): the position of each row within its batch segment, from 0."""
        first = torch.cumsum(self.lengths, 0) - self.lengths
        first = torch.repeat_interleave(first, self.lengths, output_size=self.rows)
        return torch.arange(self.rows, device=first.device) - first

    def to(self, device: torch.device | str) -> FamilyBatch:
        """The same families on another device; what is pinned is copied while the device works."""
        moved = self._each(lambda x: x.to(device, non_blocking=x.is_pinned()))
        moved.__dict__["longest"] = self.longest  # asking a GPU for it would wait for all that it has to do before
        return moved

    def pinned(self) -> FamilyBatch:
        """The same families in memory that a GPU copies from by itself."""
        return self._each(Tensor.pin_memory)

    def _each(self, made: Callable[[Tensor], Tensor]) -> FamilyBatch:
        sets = None if self.sets is None else made(self.sets)
        codes, context, lengths = made(self.codes), made(self.context), made(self.lengths)
        return FamilyBatch(codes, context, lengths, made(self.start), made(self.size), sets)


def of_sibling(rows: Tensor, position: Tensor, nothing: int) -> Tensor:
    """(N, C): what `rows` (N, C) has for the sibling before each row, `nothing` where position (N,) is 0."""
    return torch.where(position[:, None] > 0, torch.roll(rows, 1, 0), nothing)


def concat(batches: list[FamilyBatch]) -> FamilyBatch:
    """One batch of all families, in order."""
    sets = [b.sets for b in batches if b.sets is not None]
    return FamilyBatch(
        codes=torch.cat([b.codes for b in batches]),
        context=torch.cat([b.context for b in batches]),
        lengths=torch.cat([b.lengths for b in batches]),
        start=torch.cat([b.start for b in batches]),
        size=torch.cat([b.size for b in batches]),
        sets=torch.cat(sets) if sets else None,
    )


def rebatched(packs: Iterable[FamilyBatch], rows: int) -> Iterator[FamilyBatch]:
    """The same families in batches of about `rows` rows."""
    waiting: list[FamilyBatch] = []
    held = 0
    for pack in packs:
        waiting.append(pack)
        held += pack.rows
        if held >= rows:
            yield concat(waiting)
            waiting, held = [], 0
    if waiting:
        yield concat(waiting)
