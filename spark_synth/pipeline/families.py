"""Which generator family each table gets: what the configuration asks for, where the family can serve the table."""

from __future__ import annotations

from collections.abc import Mapping

from spark_synth.config import ModelSettings, RunConfig, TableSettings
from spark_synth.errors import UserError
from spark_synth.pipeline.joins import joins_of
from spark_synth.progress import Progress
from spark_synth.schema import Schema
from spark_synth.schema.graph import explain_owners
from spark_synth.schema.joins import Join
from spark_synth.schema.model import ForeignKey
from spark_synth.training.schedule import MIN_TRAIN_ROWS

DEFAULT = "autoregressive"
WITHOUT_SETS = ("copula", "gan")  # families that cannot draw rows given the rows they are joined with


def check_families(config: RunConfig, schema: Schema, rows: Mapping[str, int]) -> None:
    """UserError where a table asks for a family that cannot serve it."""
    owners = {t: c.key for t, c in explain_owners(schema, rows).items()}
    with_families(config, owners, joins_of(config, schema, owners), rows, Progress(quiet=True))


def with_families(
    config: RunConfig,
    owners: Mapping[str, ForeignKey | None],
    joins: Mapping[str, Join],
    rows: Mapping[str, int],
    progress: Progress,
) -> RunConfig:
    """The configuration in which every table has a family that can serve it: where that of the whole run cannot, the
    default, and a note says so. UserError where it is asked for by table."""
    tables = dict(config.tables)
    for t in owners:
        family = config.model_for(t).family
        problem = _problem(t, family, owners, joins, rows)
        if not problem:
            continue
        own = config.tables.get(t, TableSettings())
        if "family" in own.model.model_fields_set:
            raise UserError(f"table {t}: model.family={family} {problem}; use {DEFAULT} for it")
        progress.note(f"{t}: {DEFAULT}, as {family} {problem}")
        model = own.model.model_dump(exclude_unset=True) | {"family": DEFAULT}
        tables[t] = TableSettings(model=ModelSettings(**model), owner=own.owner)
    return config.model_copy(update={"tables": tables})


def _problem(
    table: str,
    family: str,
    owners: Mapping[str, ForeignKey | None],
    joins: Mapping[str, Join],
    rows: Mapping[str, int],
) -> str:
    """Why a family cannot serve a table; nothing if it can."""
    given = next((t for t, j in joins.items() if j.first and j.link.parent == table), None)
    if given and family in WITHOUT_SETS:
        return f"draws no rows given sets of others, as edges_first of {given} asks for"
    if family == "clustered" and owners[table] is None:
        return "needs rows that own these, to cluster them, and there is no owner"
    if family not in (DEFAULT, "copula") and rows[table] < MIN_TRAIN_ROWS:
        return f"needs {MIN_TRAIN_ROWS} rows at least, and there are {rows[table]}"
    return ""
