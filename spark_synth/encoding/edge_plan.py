"""Plans of foreign keys: the one that owns the rows of a table, and links."""

from __future__ import annotations

from dataclasses import dataclass

from spark_synth.encoding.orphan_plan import OrphanPlan


@dataclass
class LinkPlan:
    """A foreign key other than the owner: its columns and its target.

    reference: its target keeps its real rows, and which of them is a code of the row. late: filled when all rows exist.
    clusters: of the target, one code each, sub-column `at`; before them one for NULL if nullable, after them one for
    orphans if these are kept.
    carried: sub-columns of the target that the row is conditioned on, `carried_at` and following here.
    copies: (column, column of the target) that are always equal, or, as (SAME + column, ..), in rows that say so.
    onward: (column, column of the target) of foreign keys that are those of the target.
    within: (column, column of the target) that the owner or an earlier link sets too: the target is one that has these.
    targets: rows of each cluster that are linked to; empty if a family may have the same target twice.
    levels: depths of the rows of a table that refers to itself, one code each (and one for orphans), sub-column
    `level_at`; 0: not told.
    """

    name: str
    columns: tuple[str, ...]
    parent: str
    parent_columns: tuple[str, ...]
    reference: bool
    nullable: bool
    late: bool = False
    clusters: int = 0
    targets: tuple[int, ...] = ()
    at: int = -1
    carried: tuple[int, ...] = ()
    carried_at: int = -1
    copies: tuple[tuple[str, str], ...] = ()
    onward: tuple[tuple[str, str], ...] = ()
    within: tuple[tuple[str, str], ...] = ()
    levels: int = 0
    level_at: int = -1
    orphans: OrphanPlan | None = None

    @property
    def codes(self) -> int:
        """Codes of the target: NULL, clusters, orphan."""
        return int(self.nullable) + self.clusters + bool(self.orphans)

    @property
    def brings(self) -> dict[int, str]:
        """The columns, by their number in the key, that are set by this link and not before it."""
        before = {c for c, _ in self.within}
        return {i: c for i, c in enumerate(self.columns) if c not in before}

    @property
    def taken(self) -> list[tuple[str, str]]:
        """(column, column of the target) of all that a row takes from the row that it links to."""
        return [*((c, self.parent_columns[i]) for i, c in self.brings.items()), *self.copies, *self.onward]


@dataclass
class OwnerPlan:
    """The owner foreign key. null_rows: real rows without an owner; null_size: rows of one ownerless family; families:
    real owners with rows; copies, onward: (column, column of the owner), as those of links."""

    name: str
    columns: tuple[str, ...]
    parent: str
    parent_columns: tuple[str, ...]
    null_rows: int
    null_size: int
    families: int = 0
    copies: tuple[tuple[str, str], ...] = ()
    onward: tuple[tuple[str, str], ...] = ()
    orphans: OrphanPlan | None = None

    @property
    def taken(self) -> list[tuple[str, str]]:
        """(column, column of the owner) of all that a row takes from its owner."""
        return [*zip(self.columns, self.parent_columns, strict=True), *self.copies, *self.onward]


Edge = LinkPlan | OwnerPlan  # a foreign key, whatever becomes of it
