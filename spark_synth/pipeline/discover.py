"""Discovery of a schema from tables alone, for a user to review, and the approval of what was reviewed."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

from pyspark.sql import SparkSession
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from spark_synth.config import RunConfig
from spark_synth.discovery import Look, Proposal, propose
from spark_synth.errors import UserError
from spark_synth.evaluation.report.proposal import DOUBTFUL, write_proposal
from spark_synth.pipeline.outlook import lookup_tables
from spark_synth.pipeline.review import review_schema, terminal
from spark_synth.progress import Progress, is_quiet
from spark_synth.schema import load_schema, save_schema
from spark_synth.schema.cycles import name_cuts
from spark_synth.schema.model import Kind
from spark_synth.sources import keys_of, list_tables, open_database, read_table
from spark_synth.whole import write_whole

WIDTH = 160  # characters of a table that goes into a file or a pipe
_APPROVED = re.compile(r"^approved:\s*\S+\s*$", re.MULTILINE)
_REVIEW = re.compile(r"^# Proposed, not confirmed:.*\n", re.MULTILINE)


def discover_schema(spark: SparkSession, config: RunConfig, out: Path | None, note: Callable[[str], None]) -> Path:
    """Write a proposed schema and a page of what speaks for it beside; the path of the schema.

    UserError where a file is there that somebody has approved, or that is no proposal.
    """
    path = out or Path(config.schema_path)
    _check_free(path)
    names = list_tables(spark, config.source)
    raws = {t: read_table(spark, config.source, t) for t in names}
    found = propose(spark, raws, keys_of(spark, config.source, names), note)
    told = {(c.table, c.name): _told(c, found) for columns in found.looks.values() for c in columns}
    rows = {t: columns[0].rows for t, columns in found.looks.items()}
    page = path.with_suffix(".html")
    write_whole(path, lambda p: save_schema(found.schema, p))
    write_proposal(found.schema, told, rows, page)
    if not is_quiet():
        _tell(found, rows)
    for table, column in found.left_out:
        note(f"{table}.{column} is left out: values of its type are not modelled")
    personal = {t for t, v in found.schema.tables.items() if any(c.kind is Kind.PII for c in v.columns.values())}
    for table in sorted(set(lookup_tables(found.schema, rows)) - personal):
        note(f"{table}: a look-up table? With `reference: true` its real rows are kept and linked to")
    note(f"evidence: {page}")
    note(f"review {path}, then: spark-synth approve {path} --conf ...")
    return path


def review_proposal(path: Path) -> Path | None:
    """Ask for the doubtful keys of a proposed schema and write down what is left of it; None where there is no file."""
    if not path.exists():
        return None
    _check_free(path)
    schema = load_schema(path)
    dropped = review_schema(schema, terminal)
    write_whole(path, lambda p: save_schema(schema, p))
    Progress().note(f"{dropped} keys dropped; approve the rest: spark-synth approve {path} --conf ...")
    return path


def approve_schema(spark: SparkSession, config: RunConfig, path: Path, note: Callable[[str], None]) -> Path:
    """Read the whole source by a schema file, which tells whatever does not fit, and mark it approved."""
    schema = load_schema(path)
    name_cuts(schema, config.break_edges)
    database = open_database(spark, config.source, schema, config.seed)
    keys = sum(len(t.foreign_keys) for t in schema.tables.values())
    note(f"{len(schema.tables)} tables, {sum(database.rows.values()):,} rows and {keys} foreign keys fit")
    if path.suffix == ".json":
        note("SDV metadata count as approved")
        return path
    text = _REVIEW.sub("", path.read_text(encoding="utf-8"))
    if not schema.approved:
        text = _APPROVED.sub("approved: true", text, count=1)
    write_whole(path, lambda p: p.write_text(text, encoding="utf-8"))
    return path


def _check_free(path: Path) -> None:
    if not path.parent.is_dir():
        raise UserError(f"{path.parent} is no folder: --out names the schema file to write")
    if path.exists() and (path.suffix == ".json" or load_schema(path).approved):
        raise UserError(f"{path} is an approved schema and stays as it is: name another file with --out")


def _told(look: Look, found: Proposal) -> str:
    """What was found out about a column, without any of its values."""
    named = found.entities.get((look.table, look.name))
    empty = look.rows - look.known
    parts = [f"{look.holds}, about {look.distinct:,} distinct", f"{empty / look.rows:.0%} NULL" if empty else ""]
    parts.append(f"{named.provider} ({named.confidence:.2f}): {named.evidence}" if named else "")
    return "; ".join(p for p in parts if p)


def _tell(found: Proposal, rows: dict[str, int]) -> None:
    """The proposed keys as a table on the terminal."""
    grid = Table(title="proposed keys", title_justify="left")
    for name in ("table", "key", "leads to", "sure", "because"):
        grid.add_column(name, overflow="fold", justify="right" if name == "sure" else "left")
    for t, table in found.schema.tables.items():
        key = ", ".join(table.primary_key) or "-"
        _row(grid, f"{t} ({rows[t]:,})", key, "primary key", table.confidence, table.evidence)
        for fk in table.foreign_keys:
            to = f"{fk.parent} ({', '.join(fk.parent_columns)})"
            _row(grid, "", ", ".join(fk.columns), to, fk.confidence, fk.evidence)
    console = Console(highlight=False, stderr=True, width=None if sys.stderr.isatty() else WIDTH)
    console.print(grid)


def _row(grid: Table, table: str, key: str, to: str, sure: float | None, why: str | None) -> None:
    mark = "-" if sure is None else f"{sure:.2f}" + (" ?" if sure < DOUBTFUL else "")
    grid.add_row(*map(escape, (table, key, to, mark, why or "")))
