"""How the pairs of every join table are drawn, by what the configuration asks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from spark_synth.config import RunConfig
from spark_synth.errors import UserError
from spark_synth.schema import Schema
from spark_synth.schema.joins import Join, edges_first, join_tables, shared
from spark_synth.schema.model import ForeignKey

OPTIONS = ("edges", "edges_first")


def joins_of(config: RunConfig, schema: Schema, owners: Mapping[str, ForeignKey | None]) -> dict[str, Join]:
    """The join tables. UserError for an option that one table asks for and that cannot be done there."""
    found = {}
    for t, join in join_tables(schema, owners).items():
        model = config.model_for(t)
        found[t] = replace(join, edges=model.edges, first=model.edges_first)
    able = edges_first(schema, owners, found)
    for t, settings in config.tables.items():
        named = [o for o in OPTIONS if o in settings.model.model_fields_set]
        if named and t not in found:
            raise UserError(
                f"option tables.{t}.model.{named[0]}: {t} is no join table (two foreign keys into generated tables, "
                "one of them its owner, no primary key beyond these, no table that refers to it)"
            )
        if settings.model.edges_first and t not in able:
            join, option = found[t], f"option tables.{t}.model.edges_first"
            if shared(join):
                raise UserError(f"{option}: both keys of {t} have {', '.join(sorted(shared(join)))}; leave it out")
            raise UserError(
                f"{option}: {join.link.parent} must be there before {join.owner.parent}, so "
                f"the edges of {t} cannot be drawn before it; leave the option out or name another owner"
            )
    return {t: replace(join, first=t in able) for t, join in found.items()}
