"""The whole database: every table and foreign key, side by side, and what they add up to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from pyspark.sql import DataFrame

from spark_synth.evaluation.ancestors import HOPS, Path, evaluate_ancestors
from spark_synth.evaluation.association import evaluate_association
from spark_synth.evaluation.columns import Role, role
from spark_synth.evaluation.contents import evaluate_contents, table_means
from spark_synth.evaluation.detection import WAYS, detect
from spark_synth.evaluation.joins import along_owners
from spark_synth.evaluation.keys import evaluate_degrees, evaluate_identities
from spark_synth.evaluation.profile import Profile, look
from spark_synth.evaluation.quality import database_quality
from spark_synth.evaluation.rules import evaluate_rules, rules_score
from spark_synth.evaluation.sequences import evaluate_sequence
from spark_synth.evaluation.verdict import find_notes, find_problems, summarise
from spark_synth.schema.model import ForeignKey, Schema, Table

_SIDE_BY_SIDE = 4  # Spark jobs of small tables cost mostly waiting
_DIGITS = 6


class Settings(Protocol):
    """The part of the configuration that is used here."""

    @property
    def max_pair_columns(self) -> int:
        """Columns of a table that pairs are made of."""

    @property
    def sample_rows(self) -> int:
        """Rows of a table that pairs are counted over."""

    @property
    def detection_rows(self) -> int:
        """Rows of either side that a classifier is to tell apart; 0: none."""


def evaluate_database(
    real: Mapping[str, DataFrame],
    synth: Mapping[str, DataFrame],
    schema: Schema,
    *,
    ratio: float,
    owners: Mapping[str, str | None],
    references: set[str],
    settings: Settings,
    told: Mapping[str, int] | None = None,
    thorough: bool = True,
    note: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Compare a synthetic database with the real one; everything heavy runs in Spark.

    `real` and `synth` hold the same tables with the same columns. `owners` names the owning foreign key of each table.
    The rows of `references` were kept, so they are not scored and may be copies. `told` says how many rows are expected
    of tables whose size the ratio does not tell. Unless `thorough`, neither values that repeat or are copied, nor what
    tells synthetic rows from real ones, nor rules are looked for. The result can be written as JSON:
    `tables`, `summary` (the headline figures), `problems` (integrity gates that failed) and `notes`. `note` is told of
    each finished part.
    """
    evaluation = _Evaluation(real, synth, schema, ratio, owners, references, settings, told or {}, thorough)
    with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
        profiles = dict(zip(schema.tables, pool.map(evaluation.profile, schema.tables), strict=True))
        found = {t: pool.submit(evaluation.table, t, profiles[t]) for t in schema.tables}
        links = {(t, fk.name): pool.submit(evaluation.link, t, fk, profiles) for t, fk in _foreign_keys(schema)}
        tables = {}
        for t, future in found.items():
            tables[t] = future.result()
            note(f"{t} compared")
        for (t, name), future in links.items():
            tables[t]["fk"][name] = future.result()
            note(f"foreign key {name} compared")
        khop = evaluate_ancestors(schema, references, lambda p: evaluation.association(p, profiles), pool)
        note(f"{len(khop['paths'])} paths over several foreign keys compared")
    rules = [{"table": t, **rule} for t, v in tables.items() for rule in v.pop("rules")]
    quality = database_quality(tables, khop["paths"], lambda name, part: part)
    for t, of_table in quality.pop("tables").items():
        tables[t]["quality"] = of_table
    metrics = {
        "ratio": ratio,
        "references": sorted(references),
        "settings": {k: getattr(settings, k) for k in ("max_pair_columns", "sample_rows", "detection_rows")},
        "quality": quality,
        "tables": tables,
        "khop": {k: khop[k] for k in ("paths", "left_out")},
        "rules": rules,
        "summary": {
            "score": quality["score"],
            **summarise(tables),
            **{f"hop{k}": khop[f"hop{k}"] for k in HOPS},
            "rules": rules_score(rules),
        },
        "problems": find_problems(tables),
        "notes": find_notes(tables),
    }
    rounded: dict[str, Any] = _round(metrics)
    return rounded


def _foreign_keys(schema: Schema) -> Iterator[tuple[str, ForeignKey]]:
    return ((t, fk) for t, v in schema.tables.items() for fk in v.foreign_keys)


class _Evaluation:
    """One comparison: what every part of it needs to know."""

    def __init__(
        self,
        real: Mapping[str, DataFrame],
        synth: Mapping[str, DataFrame],
        schema: Schema,
        ratio: float,
        owners: Mapping[str, str | None],
        references: set[str],
        settings: Settings,
        told: Mapping[str, int],
        thorough: bool,
    ) -> None:
        self.real, self.synth, self.schema, self.ratio = real, synth, schema, ratio
        self.owners, self.references, self.settings, self.told = owners, references, settings, told
        self.thorough = thorough
        self.above = along_owners(schema, owners, references)

    def sides(self, table: str) -> tuple[DataFrame, DataFrame]:
        return self.real[table], self.synth[table]

    def profile(self, name: str) -> Profile:
        return look(*self.sides(name), self.schema.tables[name], self.settings.sample_rows)

    def table(self, name: str, profile: Profile) -> dict[str, Any]:
        """Everything about one table but its foreign keys."""
        table, reference = self.schema.tables[name], name in self.references
        scored = self.thorough and not reference
        found = evaluate_contents(
            *self.sides(name),
            table,
            profile,
            max_pair_columns=self.settings.max_pair_columns,
            sample_rows=self.settings.sample_rows,
        )
        identities = evaluate_identities(*self.sides(name), table) if self.thorough else {}
        for column, figures in identities.items():
            if column:
                found["columns"][column] |= _identity(table, column, figures, reference)
        expected = self.told.get(name, profile.rows[0] * (1.0 if reference else self.ratio))
        return {
            "reference": reference,
            "rows": profile.rows,
            "expected_rows": expected,
            "row_error": abs(profile.rows[1] - expected) / expected if expected else float(profile.rows[1] > 0),
            "primary_key": _primary_key(table, identities.get(""), profile),
            **table_means(found["columns"], found["pairs"]),
            **found,
            "detection": self.detection(name, profile) if scored else None,
            "rules": self.rules(name, profile) if scored else [],
            "fk": {},
        }

    def detection(self, name: str, profile: Profile) -> dict[str, Any] | None:
        """What tells synthetic rows from real ones, alone, and with the rows below or above them; None if not asked."""
        most = self.settings.detection_rows
        if not most:
            return None
        schemas = {w: self.above if w == "ancestors" else self.schema for w in WAYS}
        sides = (self.real, self.synth)
        return {w: detect(*sides, schemas[w], name, profile.rows, most, 0, w, self.owners) for w in WAYS}

    def rules(self, name: str, profile: Profile) -> list[dict[str, Any]]:
        """What holds in the real rows of a table, and whether it does in the synthetic ones."""
        return evaluate_rules(
            self.real,
            self.synth,
            self.schema,
            name,
            rows=profile.rows[0],
            sample_rows=self.settings.sample_rows,
            most_columns=self.settings.max_pair_columns,
        )

    def link(self, name: str, fk: ForeignKey, profiles: Mapping[str, Profile]) -> dict[str, Any]:
        """Everything about one foreign key. Where both ends were kept there is nothing to score."""
        kept = (name in self.references, fk.parent in self.references)
        scale = self.ratio if kept == (False, True) else 1.0
        found = evaluate_degrees(self.sides(name), self.sides(fk.parent), fk, scale)
        association = None
        if not all(kept):
            association = self.association(Path(name, (fk,)), profiles)
        return {
            "columns": list(fk.columns),
            "parent": fk.parent,
            "owner": self.owners.get(name) == fk.name,
            "reference": all(kept),
            **found,
            "association": association,
            "sequence": None if all(kept) else self.sequence(name, fk),
        }

    def association(self, path: Path, profiles: Mapping[str, Profile]) -> dict[str, Any] | None:
        """What ties rows to the one that a path leads to."""
        return evaluate_association(
            self.real,
            self.synth,
            self.schema,
            path.table,
            path.keys,
            profiles,
            max_pair_columns=self.settings.max_pair_columns,
            sample_rows=self.settings.sample_rows,
        )

    def sequence(self, name: str, fk: ForeignKey) -> dict[str, Any] | None:
        """How rows follow each other under the row that owns them."""
        if self.owners.get(name) != fk.name:
            return None
        return evaluate_sequence(*self.sides(name), self.schema, name, fk, self.settings.max_pair_columns)


def _identity(table: Table, column: str, figures: Mapping[str, int], reference: bool) -> dict[str, Any]:
    """Distinct shares, and how many synthetic values are real ones: of a link they are its parent's affair, and a part
    of a composite key (the line of an order) identifies nothing by itself."""
    pairs = (("real_distinct", "real_rows"), ("synth_distinct", "synth_rows"))
    distinct = [figures[d] / figures[n] if figures[n] else None for d, n in pairs]
    part = len(table.primary_key) > 1 and column in table.primary_key
    counted = not reference and role(table, column) is not Role.LINK and not part
    return {"distinct": distinct, "copied": figures["copied"] if counted else None}


def _primary_key(table: Table, figures: Mapping[str, int] | None, profile: Profile) -> dict[str, Any] | None:
    if figures is None:
        return None
    nulls = profile.rows[1] - figures["synth_rows"]
    return {"columns": list(table.primary_key), "duplicates": figures["repeated"], "nulls": nulls}


def _round(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(value, float):
        return round(value, _DIGITS)
    if isinstance(value, dict):
        return {k: _round(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_round(v) for v in value]
    return value
