"""Plans of what links go by: the clusters at their ends, the edges of a join table, and what the rows at one end are
told of those at the other."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class CodePlan:
    """Clusters of the rows of a table that take part in links: alike in their values, degrees and neighbours.

    places: for each cluster where its centre lies, neighbours of similar rows in similar places; the order of clusters
    goes along these, so that clusters with near numbers are near.
    follows: where every row of a small table is a cluster, the codes of its degrees, self references and summaries, by
    cluster: such a table is too small to learn from, and how many rows link to one and what they are like must fit.
    """

    clusters: int
    places: list[list[float]]
    follows: list[list[int]] = field(default_factory=list)
    at: int = -1


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
