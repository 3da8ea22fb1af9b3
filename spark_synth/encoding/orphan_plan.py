"""What a plan tells of the orphans of a foreign key that are kept."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class OrphanPlan:
    """Rows whose foreign key has no row in the parent, `keys` different values of it; histogram: [rows, values with so
    many]."""

    keys: int
    rows: int
    histogram: list[tuple[int, int]]
