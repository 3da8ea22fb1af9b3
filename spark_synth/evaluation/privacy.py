"""How much synthetic rows give away of real ones: every table alone and joined with what its rows lead to, one score.

Every part of the score is a risk between 0 and 1: the share of records, or of guesses, that is given away beyond what
another sample of the same source would give away, which is 0 by that measure.

- nearness: P of Mami et al. (2022), of rows and their parents, beyond 0.05, or beyond
  the P of one half of the real rows against the other;
- closest: synthetic rows far closer to a row of one half than to any of the other (attacks.closest);
- copies: exact and near copies of whole rows, over all rows (copies.count_copies), the larger risk of the two;
- inference: what the nearest synthetic row tells of a row of which all other columns are known (attacks.inference);
- singling: combinations that are unique in synthetic rows and single out one real row (attacks.singling);
- membership: rows that the generator was fitted to told from rows that were held out (attacks.membership).

What counts is the lower end of the 95 % interval of a risk, so that a small table is not blamed for chance. The score
of a part is 100 (1 - low); that of a table, alone or joined, is that of its worst part, since a record is given away if
it is so in one way; that of the database is the mean of two: of the mean over tables, alone and joined, and of the
worst of them.
So it falls with every risk that is the worst of its table, is 100 where nothing is nearer to real rows than other real
rows are, and near 0 for a copy.

LEVELS are the thresholds of risk that are in use for the release of records, by the smallest group in which one may be
found: 20, 11, 5 and 3 (El Emam, Guide to the De-Identification of Personal Health Information, 2013, on cell sizes).

A true hold-out are the rows on the `holdout` side of the training (encoding.held): no gradient saw them. They did
steer early stopping, and the frequencies of single columns, degrees and bins are those of all rows. Without them there
is no score of membership. The parents of a held-out row may be trained with: joined rows tell of the row given these.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_synth.evaluation.columns import enough, picked, row_hash, values_of
from spark_synth.evaluation.copies import count_copies
from spark_synth.evaluation.joins import FAMILY, GENERATIONS, PLACE, ancestors, kinds_of, with_ancestors
from spark_synth.evaluation.sampled import HELD, LEAST_COLUMNS, SIDE, measure
from spark_synth.schema.model import Schema

LEAST_ROWS = 50  # of either side
LEVELS = ((95, "Excellent"), (91, "Very Good"), (80, "Good"), (67, "Normal"), (0, "Poor"))
PARTS = ("nearness", "closest", "copies", "inference", "singling", "membership")
_SIDE_BY_SIDE = 4  # Spark jobs of small tables cost mostly waiting


class Settings(Protocol):
    """The part of the configuration that is used here."""

    @property
    def privacy_rows(self) -> int:
        """Rows of either side of a table whose neighbours are looked for."""


def evaluate_privacy(
    real: Mapping[str, DataFrame],
    synth: Mapping[str, DataFrame],
    schema: Schema,
    owners: Mapping[str, str | None],
    references: set[str],
    control: tuple[Mapping[str, DataFrame], Mapping[str, DataFrame]] | None,
    settings: Settings,
    seed: int,
    note: Callable[[str], None] = lambda text: None,
    held: Mapping[str, DataFrame] | None = None,
) -> dict[str, Any]:
    """The score, 0 to 100, its level and parts, and all figures by table: see the module.

    references: tables whose real rows were kept, which are not scored. control: two halves of the real database, cut by
    families; without them, and for tables that are the same in both, rows go by those that own them. held: real rows
    that the generator was not fitted to. `tables`: `alone` and `joined` of each, None where there are fewer than
    LEAST_ROWS rows or LEAST_COLUMNS columns that vary, or no row above to join. `rows`: the most that are sampled.
    """
    looking = _Looking(real, synth, schema, owners, control, held or {}, settings.privacy_rows, seed)
    tables: dict[str, Any] = {}
    with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
        found = {t: pool.submit(looking.table, t) for t in schema.tables if t not in references}
        for t, future in found.items():
            tables[t] = future.result()
            note(f"privacy of {t} measured")
    return {**aggregate(tables), "tables": tables, "rows": settings.privacy_rows}


def aggregate(tables: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """`score`, `level` and `parts` of a database from those of its tables, alone and joined: mean and worst, halved."""
    ways = [way for table in tables.values() for way in table.values() if way]
    parts = {p: _together([w["parts"][p] for w in ways if w["parts"].get(p) is not None]) for p in PARTS}
    score = _together([w["score"] for w in ways])
    return {"score": score, "level": level(score), "parts": parts}


def level(score: float | None) -> str | None:
    """The name of a score."""
    return None if score is None else next(name for least, name in LEVELS if score >= least)


def scored(found: Mapping[str, Any]) -> dict[str, Any]:
    """`score` and `parts` of one table from its figures: 100 (1 - low), None where there is nothing to tell."""
    risks = {p: _low(found.get(p)) for p in PARTS if p != "copies"}
    copies = found.get("copies") or {}
    risks["copies"] = max((copies[how]["low"] for how in ("exact", "near") if how in copies), default=None)
    parts = {p: None if (risk := risks[p]) is None else 100 * (1 - risk) for p in PARTS}
    return {"score": min((v for v in parts.values() if v is not None), default=None), "parts": parts}


@dataclass(frozen=True)
class _Looking:
    """One comparison: what every table of it needs to know."""

    real: Mapping[str, DataFrame]
    synth: Mapping[str, DataFrame]
    schema: Schema
    owners: Mapping[str, str | None]
    control: tuple[Mapping[str, DataFrame], Mapping[str, DataFrame]] | None
    held: Mapping[str, DataFrame]
    rows: int
    seed: int

    def table(self, table: str) -> dict[str, Any]:
        """Of a table `alone` and `joined`."""
        bases = [self._labelled(table), self.synth[table]]
        counts = [base.count() for base in bases]
        if min(counts) < LEAST_ROWS:
            return {"alone": None, "joined": None}
        alone = self._way(table, bases, counts, 0)
        above = any(self._values(fk.parent, up) for _, fk, up in ancestors(self.schema, table, GENERATIONS))
        return {"alone": alone, "joined": self._way(table, bases, counts, GENERATIONS) if above else None}

    def _values(self, table: str, prefix: str) -> list[str]:
        """The columns of the values of a table where its rows are joined as `prefix`."""
        return [f"{prefix}.{c}" for c in values_of(self.real[table], self.schema.table(table))]

    def _way(self, table: str, bases: list[DataFrame], counts: list[int], generations: int) -> dict[str, Any] | None:
        """Figures of the rows with those that are so many generations above them."""
        shares = [enough(self.rows, n) for n in counts]
        spec = self.schema.table(table)
        every = self._both(table, bases, generations)
        if sum(map(len, kinds_of(every))) < LEAST_COLUMNS:
            return None
        some = every
        if min(shares) == 1:
            every.persist()  # read twice
        else:  # what is looked at is joined by itself
            some = self._both(
                table, [b.where(picked(spec, s)) for b, s in zip(bases, shares, strict=True)], generations
            )
        own = self._values(table, table)
        parents = list(ancestors(self.schema, table, min(1, generations)))
        above = [c for _, fk, up in parents for c in self._values(fk.parent, up)]
        found = measure(some, own + above, own, self.rows, LEAST_ROWS, self.seed)
        if found is not None:
            found["copies"] = count_copies(every.drop(PLACE, FAMILY, HELD), SIDE, found.pop("spreads"), self.seed)
            found = {**scored(found), **found}
        every.unpersist()
        return found

    def _labelled(self, table: str) -> DataFrame:
        """Real rows with SIDE, their half, NULL where the control does not tell, and HELD."""
        spec, unknown = self.schema.table(table), F.lit(None).cast("int")
        if self.control is None or self.control[0][table] is self.control[1][table]:
            rows = self.real[table].withColumn(SIDE, unknown)
        else:
            one, other = (side[table].withColumn(SIDE, F.lit(h)) for h, side in enumerate(self.control))
            rows = one.unionByName(other)
        held = self.held.get(table)
        if held is None:
            return rows.withColumn(HELD, F.lit(False))
        names = held.select(row_hash(spec).alias("__held_row")).distinct().withColumn("__found", F.lit(True))
        joined = rows.withColumn("__row", row_hash(spec)).join(names, F.col("__row") == F.col("__held_row"), "left")
        return joined.withColumn(HELD, F.coalesce("__found", F.lit(False))).drop("__row", "__held_row", "__found")

    def _both(self, table: str, bases: list[DataFrame], generations: int) -> DataFrame:
        """Values of both sides and their PLACE, FAMILY, SIDE and HELD."""
        above = (self.schema, table, self.owners, generations)
        real = with_ancestors(bases[0], self.real, *above, (SIDE, HELD))
        real = real.withColumn(SIDE, F.coalesce(SIDE, F.col(FAMILY).bitwiseAND(F.lit(1)).cast("int")))
        synth = with_ancestors(bases[1], self.synth, *above)
        return real.unionByName(synth.withColumn(SIDE, F.lit(2)).withColumn(HELD, F.lit(False)))


def _together(scores: Sequence[float]) -> float | None:
    """The mean of the mean and the lowest."""
    return (float(np.mean(scores)) + min(scores)) / 2 if scores else None


def _low(found: Mapping[str, Any] | None) -> float | None:
    """The risk that counts, None of a part that was not measured or is blind."""
    return None if not found or found.get("blind") else found.get("low")
