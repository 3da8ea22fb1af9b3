"""Tables whose rows are not generated: those of reference tables, of preserved ones, and rows that the user gives."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pyspark.sql import SparkSession

from spark_synth.config import RunConfig
from spark_synth.encoding.fit import Fitted
from spark_synth.errors import UserError
from spark_synth.generation.given import keep_given
from spark_synth.generation.run import Generation
from spark_synth.pipeline.package import Package
from spark_synth.pipeline.train import keep_table, training_folder
from spark_synth.sources import read_given


def kept_tables(spark: SparkSession, config: RunConfig, package: Package, work: Path) -> dict[str, str]:
    """Folders of the real rows of reference and preserved tables."""
    preserved = [t for t in config.generate.preserve_tables if t not in package.references]
    for t in preserved:
        if t not in package.plans:
            raise UserError(f"generate.preserve_tables: {t!r} is not a table (tables: {', '.join(package.plans)})")
        for above in sorted(package.plans[t].sources - set(preserved) - package.references):
            raise UserError(f"generate.preserve_tables: {t} hangs on {above}, whose rows are new; name {above} too")
    kept = {t: str(package.folder / "kept" / t) for t in package.references}
    if preserved:
        fitted = Fitted(package.plans, str(training_folder(config)))
        if not Path(fitted.work, "frames").exists():
            raise UserError(
                "generate.preserve_tables: the training files of this configuration are gone; run train again"
            )
        for t in preserved:
            kept[t] = str(work / "kept" / t)
            keep_table(spark, fitted, t, kept[t])
    return kept


def with_given(run: Generation, config: RunConfig, package: Package, work: Path) -> Generation:
    """`run` with the rows of `generate.given` among the kept ones; owners come before what hangs on them."""
    _check_given(run, config, package)
    run = replace(run, given=tuple(config.generate.given))
    for t in (t for t in package.plans if t in run.given):
        plan, schema = run.plans[t], package.schema
        if run.there:  # as they are in the database, whatever has become of the file
            rows = run.there(t)
        else:
            parents = {fk.parent: run.rows(fk.parent) for fk in schema.table(t).foreign_keys if fk.parent != t}
            filled = [plan.time.column] if plan.time else []
            rows = read_given(run.spark, t, config.generate.given[t], plan.columns, schema, parents, filled)
        path = str(work / "kept" / t)
        keep_given(run, t, rows, path)
        run = replace(run, kept={**run.kept, t: path})
    return run


def _check_given(run: Generation, config: RunConfig, package: Package) -> None:
    """UserError for tables that cannot be given."""
    given = config.generate.given
    for t in given:
        if t not in run.plans:
            raise UserError(f"--given: {t!r} is not a table (tables: {', '.join(run.plans)})")
        if t in run.kept:
            raise UserError(f"--given {t}: the real rows of {t} are kept")
        above = {fk.parent for fk in package.schema.table(t).foreign_keys} - {t} - set(given) - set(run.kept)
        if above:
            raise UserError(f"--given {t}: {t} hangs on {min(above)}, whose rows are new; give {min(above)} too")
