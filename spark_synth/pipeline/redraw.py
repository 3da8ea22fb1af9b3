"""Tables of a finished database that are drawn again: what `generate --table` begins, resumes and ends.

A table is drawn again with everything that is drawn given its rows, so every key leads somewhere; with `--where`, some
of its families, and what their rows own (generation.part). The tables above it stay; as more of them is needed than a
database shows (degrees, codes), they are drawn once more with their own seed, are compared with what is there, and are
not written. The rows of a table of which a part was drawn again cannot be drawn once more, so they are kept.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_synth.config import RunConfig
from spark_synth.encoding.at_once import each, written
from spark_synth.encoding.views import quoted
from spark_synth.errors import UserError
from spark_synth.generation.links import fill_links, filled
from spark_synth.generation.part import begin_part, part_of
from spark_synth.generation.run import Generation, ancestors, descendants
from spark_synth.generation.seeds import stream
from spark_synth.generation.tables import generate_table
from spark_synth.pipeline.delivery import Delivery, levels
from spark_synth.pipeline.state import Manifest
from spark_synth.pipeline.waves import finished_manifest, refuse_begun
from spark_synth.sinks import read_delta


def begin_redraw(config: RunConfig, run_id: str | None, table: str, where: str | None) -> Manifest:
    """The manifest of the database whose `table` is to be drawn again, or of the attempt that was begun."""
    manifest = finished_manifest(config, run_id, "--table")
    if table not in manifest.data["tables"]:
        raise UserError(
            f"--table: {manifest.name} has no table {table!r} (tables: {', '.join(manifest.data['tables'])})"
        )
    if manifest.data["tables"][table]["kept"]:
        raise UserError(f"--table {table}: its rows are not generated, but kept or given")
    if len(manifest.data.get("waves", [])) > 1:
        raise UserError(f"--table {table}: rows were appended to {manifest.name}: generate another database instead")
    redraws: list[dict[str, Any]] = manifest.data.get("redraws", [])
    asked = {"table": table, "where": where, "seed": config.seed}
    if redraws and redraws[-1]["state"] != "written" and any(redraws[-1][k] != v for k, v in asked.items()):
        refuse_begun(manifest)
        redraws = redraws[:-1]
    if not redraws or redraws[-1]["state"] == "written":
        redraws = [*redraws, {"number": len(redraws) + 1, **asked, "state": "started", "tables": {}}]
    manifest.data["redraws"] = redraws  # written with the first table
    return Manifest(manifest.path, manifest.data, redraw=True)


def drawn_again(manifest: Manifest) -> dict[str, Any]:
    """Of tables that were drawn again, their seeds, and where the rows of those are of which a part was."""
    tables, names = manifest.data["tables"], {"seeds": "seed", "at": "rows_at"}
    return {option: {t: e[name] for t, e in tables.items() if name in e} for option, name in names.items()}


def redraw(delivery: Delivery) -> None:
    """Draw again what the redraw at hand asks for, and write it."""
    asked, run = delivery.manifest.data["redraws"][-1], delivery.run
    seed = stream(asked["seed"], "redraw", asked["number"])
    if asked["where"] is None:
        new = descendants(run.plans, asked["table"])
        above = ancestors(run.plans, new) - set(run.kept)
        _draw_once_more(delivery, above)
        _check_unchanged(delivery, above)
        at = {t: folder for t, folder in run.at.items() if t not in new}
        again = replace(delivery, run=replace(run, seeds={**run.seeds, **dict.fromkeys(new, seed)}, at=at))
        again.make(new)
        for t in new:
            delivery.manifest.table(t, seed=seed)
        return
    part = part_of(run.plans, asked["table"])
    if any(delivery.manifest.state_of(t) != "written" for t in part):
        _redraw_part(delivery, part, seed)
    kept = delivery.manifest.path.parent / "drawn"
    kept.mkdir(exist_ok=True)
    for t in part:
        folder = kept / f"{t}-{asked['number']}"
        if not folder.exists():
            shutil.move(_final(run, t) if run.plans[t].unique else f"{run.work}/{t}", folder)
        delivery.manifest.table(t, rows_at=str(folder))


def end_redraw(manifest: Manifest) -> None:
    """Take what is known of the tables that were drawn again, all written, for what is known of the database."""
    new, now = manifest.tables, manifest.data["redraws"]
    before: dict[str, dict[str, Any]] = manifest.data["tables"]
    left = [before[t].pop("rows_at") for t in new if "rows_at" in before[t]]
    tables = {t: e | new.get(t, {}) for t, e in before.items()}
    told = {t: {k: e[k] for k in ("state", "rows")} for t, e in new.items()}
    redraws = [*now[:-1], {**now[-1], "state": "written", "tables": told}]
    manifest.update(tables=tables, redraws=redraws, state="generated")
    for folder in left:
        shutil.rmtree(folder, ignore_errors=True)


def _draw_once_more(delivery: Delivery, tables: Collection[str]) -> None:
    """Draw rows that are there, with what later tables need of them."""
    run = delivery.run
    delivery.progress.stage(f"draw once more {len(tables)} tables as they are")

    def drawn(table: str) -> None:
        if not Path(run.rows_at(table), "_SUCCESS").exists():
            generate_table(run, table)

    for level in levels(run, [t for t in tables if t not in run.at]):
        each(level, drawn)


def _check_unchanged(delivery: Delivery, tables: Collection[str]) -> None:
    """UserError where the rows of a table, drawn once more, are not those of the database."""
    run = delivery.run

    def check(table: str) -> None:
        there = read_delta(run.spark, delivery.target(table))
        if _fingerprint(fill_links(run, table)) != _fingerprint(there):
            raise UserError(
                f"--table: rows of {table} are not those that were generated (they were changed since, refer to "
                "rows that were, or this is another version or kind of machine), so what hangs on them cannot be drawn "
                "again: generate another database"
            )

    each([t for t in tables if delivery.manifest.state_of(t) != "written"], check)


def _fingerprint(rows: DataFrame) -> tuple[int, int]:
    """The number of rows, and a sum over them that tells their values, in any order."""
    value = F.xxhash64(*map(quoted, rows.columns)).cast("decimal(38,0)")
    (found,) = rows.agg(F.count(F.lit(1)).alias("n"), F.sum(value).alias("sum")).collect()
    return int(found["n"]), int(found["sum"] or 0)


# -- a part of a table ------------------------------------------------------------------------------------------


def _check_condition(delivery: Delivery, table: str, where: str) -> None:
    """UserError where the condition is none, or no row has it."""
    if delivery.manifest.state_of(table) == "written":
        return  # an attempt before has checked it
    there = read_delta(delivery.run.spark, delivery.target(table))
    try:
        found = not there.where(where).isEmpty()
    except AnalysisException as error:
        told = str(error).splitlines()[0]
        raise UserError(f"--where {where!r}: not a condition on columns of {table}: {told}") from error
    if not found:
        raise UserError(f"--where {where!r}: no row of {table} is so")


def _final(run: Generation, table: str) -> str:
    """Where rows are as they are delivered, of a table to which something is done after they are drawn."""
    return f"{run.work}/_final/{table}"


def _with_final_rows(run: Generation, tables: Collection[str]) -> Generation:
    """`run` with the rows of these tables as they are delivered."""
    changing = [t for t in tables if run.plans[t].unique and t not in run.at]
    for t in changing:
        written(filled(run, t), _final(run, t))
    return replace(run, at={**run.at, **{t: _final(run, t) for t in changing}})


def _redraw_part(delivery: Delivery, part: Sequence[str], seed: int) -> None:
    """Draw part of tables, owners first, and write them."""
    asked, run = delivery.manifest.data["redraws"][-1], delivery.run
    _check_condition(delivery, asked["table"], asked["where"])
    above = ancestors(run.plans, part) - set(run.kept)
    before = replace(run, work=f"{run.work}/_before")
    _draw_once_more(replace(delivery, run=before), {*above, *part})
    before = _with_final_rows(before, part)
    _check_unchanged(replace(delivery, run=before), {*above, *part})
    at = {t: before.rows_at(t) for t in above}
    run = replace(run, seeds={**run.seeds, **dict.fromkeys(part, seed)}, at=at)
    delivery.progress.stage(f"draw a part of {len(part)} tables")
    for t in part:
        chosen = before.rows(t).where(asked["where"]) if t == asked["table"] else None
        run = begin_part(before, run, t, chosen)
        replace(delivery, run=run).draw(t)
        run = _with_final_rows(run, [t])
    delivery.progress.stage("write Delta tables")
    each(list(part), replace(delivery, run=run).write)
