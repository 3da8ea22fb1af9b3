"""The plan of a join table's edges, and of what the rows at one end are told of those at the other."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class SetPlan:
    """A sample of the rows that a row is joined with through the join table `table`, whose `link` leads here and whose
    owners are rows of `other`: up to `slots` of them, `carried` sub-columns of each."""

    table: str
    link: str
    other: str
    slots: int
    carried: tuple[int, ...]

    @property
    def width(self) -> int:
        """Codes of a set."""
        return self.slots * len(self.carried)


@dataclass
class BlockPlan:
    """The edges of a join table by blocks: real rows by the code of their owner (or all together, where `by` is -1) and
    that of their link. by: the owner's code among its sub-columns."""

    by: int
    counts: list[list[int]]
