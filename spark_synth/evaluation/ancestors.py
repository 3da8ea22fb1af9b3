"""Over two and three foreign keys: what ties a row to its grandparent, and to the one above that."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

from spark_synth.evaluation import measures
from spark_synth.schema.model import ForeignKey, Schema

HOPS = (2, 3)
MOST_PATHS = 120  # of a database; the shorter ones first


@dataclass(frozen=True)
class Path:
    """Foreign keys that lead from the rows of a table to one further up."""

    table: str
    keys: tuple[ForeignKey, ...]

    @property
    def tables(self) -> list[str]:
        """All tables on the way, from below."""
        return [self.table, *[fk.parent for fk in self.keys]]


def long_paths(schema: Schema, kept: Collection[str]) -> list[Path]:
    """Paths of HOPS keys that enter no table twice and do not begin at one of `kept`, the shorter ones first."""
    paths = [Path(t, (fk,)) for t, v in schema.tables.items() if t not in kept for fk in v.foreign_keys]
    found: list[Path] = []
    for _ in HOPS:
        paths = [longer for path in paths for longer in _onward(path, schema)]
        found += paths
    return found


def _onward(path: Path, schema: Schema) -> Iterator[Path]:
    if path.keys[0].parent == path.table:
        return
    for fk in schema.table(path.keys[-1].parent).foreign_keys:
        if fk.parent not in path.tables:
            yield Path(path.table, (*path.keys, fk))


def evaluate_ancestors(
    schema: Schema,
    kept: Collection[str],
    associations: Callable[[Path], Mapping[str, Any] | None],
    pool: Executor,
) -> dict[str, Any]:
    """`paths`: of each the tables on its `path`, its `keys` and `hops`, and what `associations` finds along it; how
    many are `left_out` where there are more than MOST_PATHS; `hop2`, `hop3`: mean scores."""
    paths = long_paths(schema, kept)
    looked = paths[:MOST_PATHS]
    found = [
        {"path": p.tables, "keys": [fk.name for fk in p.keys], "hops": len(p.keys), **figures}
        for p, figures in zip(looked, pool.map(associations, looked), strict=True)
        if figures
    ]
    means = {f"hop{k}": measures.mean(f["score"] for f in found if f["hops"] == k) for k in HOPS}
    return {"paths": found, "left_out": len(paths) - len(looked), **means}
