"""Database servers as sources: their tables are copied to Delta once, as they are at one moment, and read from there.

Training, evaluation and resumed runs go by the copy; nothing but the reading of it touches the server.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from py4j.protocol import Py4JError
from pyspark.sql import SparkSession
from sqlalchemy.engine import URL, Connection

from spark_synth.config import RunConfig, SourceSettings
from spark_synth.errors import RunError, UserError
from spark_synth.pipeline.failures import in_one_line
from spark_synth.schema import Schema, load_schema
from spark_synth.schema.cycles import name_cuts
from spark_synth.servers.address import (
    SQLITE,
    engine_of,
    first_line,
    parse_url,
    server_of,
    shown,
    snapshot,
    told_plainly,
)
from spark_synth.servers.declared import DeclaredTable, reflect, save_declared
from spark_synth.sinks import write_delta
from spark_synth.sources.listing import DECLARED, TAKEN
from spark_synth.sources.snapshot import Part, measure_table, read_server_table, readable
from spark_synth.sources.spark_util import run_parallel
from spark_synth.sources.thinned import Thinned, declared_schema

TRIES = 3  # of a table whose reading fails
PAUSE = 2.0  # seconds before the second of them, twice as long before the third

Note = Callable[[str], None]


def packages_of(source: SourceSettings) -> list[str]:
    """Maven packages that reading a source needs, as `local_source` has it."""
    return [server_of(parse_url(source.url)).package] if source.url else []


def local_source(config: RunConfig) -> RunConfig:
    """The configuration with the place where the tables of a server are copied to as its source, whether they are there
    or not; others as they are."""
    if not config.source.url:
        return config
    url = parse_url(config.source.url)
    if url.get_backend_name() == SQLITE:
        changed = {"path": url.database or "", "url": None, "format": SQLITE}
    else:
        told: list[Any] = [url.render_as_string(), config.source.namespace]
        told += [config.source.sample, config.seed] if config.source.sample < 1 else []
        name = hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]
        folder = Path(config.output).absolute() / "_work" / f"snapshot-{name}"
        changed = {"path": str(folder), "format": "delta"}
    return config.model_copy(update={"source": config.source.model_copy(update=changed)})


def take_snapshot(spark: SparkSession, config: RunConfig, note: Note) -> RunConfig:
    """Copy the tables of a server, unless they were copied before and no new copy is asked for; the configuration
    that goes by the copy.

    UserError where there is nothing to read; RunError, and nothing left behind, where reading fails.
    """
    settled = config.model_copy(update={"source": config.source.model_copy(update={"refresh": False})})
    folder, url = Path(config.source.path), parse_url(config.source.url or "")
    if folder.exists() and not config.source.refresh:
        taken = json.loads((folder / TAKEN).read_text())
        note(f"{taken['tables']} tables as they were copied at {taken['time']} (source.refresh: true copies them anew)")
        return settled
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        rows = _copy(spark, config, url, part, note)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    taken = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "tables": len(rows),
        "rows": sum(rows.values()),
    }
    (part / TAKEN).write_text(json.dumps(taken | {"source": shown(url), "sample": config.source.sample}))
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)
    note(f"{len(rows)} tables, {sum(rows.values()):,} rows copied from {shown(url)}")
    return settled


def _copy(spark: SparkSession, config: RunConfig, url: URL, folder: Path, note: Note) -> dict[str, int]:
    """Rows by table."""
    engine, namespace = engine_of(url), config.source.namespace
    try:
        with told_plainly(url, "reading"), snapshot(engine) as (connection, session):
            tables = _wanted(config, reflect(connection, namespace), url)
            if session is None:
                note(f"{engine.dialect.name} has no snapshot for several sessions: keep others from writing meanwhile")
            for name, table in tables.items():
                for column in table.columns:
                    if column not in readable(table):
                        note(f"{name}.{column.name} is left out: it holds bytes, which are not modelled")
            parts = {name: measure_table(connection, name, table, namespace) for name, table in tables.items()}
            thinned = _thinned(config, tables, parts, engine.dialect.name)
            if thinned:
                whole, share = parts, config.source.sample
                parts = {n: measure_table(connection, n, t, namespace, thinned) for n, t in tables.items()}
                if empty := [n for n in tables if whole[n].rows and not parts[n].rows]:
                    raise UserError(
                        f"table {empty[0]!r} has no rows left in a sample of {share:g}: raise source.sample"
                    )
                note(f"a share of {share:g}: {sum(p.rows for p in parts.values()):,} rows")
            for name in [n for n, part in parts.items() if not part.rows]:
                note(f"{name} is left out: it has no rows")
                del tables[name]
            if not tables:
                raise UserError(f"{shown(url)} holds no rows")
            copy = partial(_copy_table, spark, config, url, connection, session, folder, thinned)
            counts = run_parallel(spark, lambda n: copy(n, tables[n], parts[n]), tables)
        save_declared(tables, engine.dialect.name, folder / DECLARED)
    finally:
        engine.dispose()
    return dict(zip(tables, counts, strict=True))


def _wanted(config: RunConfig, tables: Mapping[str, DeclaredTable], url: URL) -> dict[str, DeclaredTable]:
    """The tables of an approved schema, else all."""
    schema = _approved(config)
    wanted = [t for t in (schema.tables if schema else tables) if t in tables]
    if not wanted:
        raise UserError(f"{shown(url)} holds no table" + (" of the schema" if tables else ""))
    return {t: tables[t] for t in wanted}


def _approved(config: RunConfig) -> Schema | None:
    """The schema of a run, where there is one that somebody has approved."""
    path = Path(config.schema_path)
    schema = load_schema(path) if path.exists() else None
    return schema if schema and schema.approved else None


def _thinned(
    config: RunConfig, tables: Mapping[str, DeclaredTable], parts: Mapping[str, Part], dialect: str
) -> Thinned | None:
    """What belongs to the share that is asked for, by the keys of the approved schema, else by the declared ones."""
    if config.source.sample == 1:
        return None
    schema = _approved(config) or declared_schema(tables)
    name_cuts(schema, config.break_edges)
    rows = {t: parts[t].rows if t in parts else 0 for t in schema.tables}
    return Thinned(schema, rows, config.source.sample, config.seed, dialect, config.source.namespace)


def _copy_table(
    spark: SparkSession,
    config: RunConfig,
    url: URL,
    connection: Connection,
    session: str | None,
    folder: Path,
    thinned: Thinned | None,
    name: str,
    table: DeclaredTable,
    part: Part,
) -> int:
    """Copy one table; a reading that fails is tried again, as long as the snapshot is there."""
    for attempt in range(1, TRIES + 1):
        try:
            frame = read_server_table(
                spark, url, connection.dialect, name, table, config.source.namespace, part, session, thinned
            )
            rows = write_delta(frame, str(folder / name), f"snapshot-{folder.name}", 1)
        except (Py4JError, RunError) as error:
            if attempt == TRIES:
                told = first_line(in_one_line(error) or error, url)
                raise RunError(f"table {name}: reading {shown(url)} failed {TRIES} times: {told}") from None
            time.sleep(PAUSE * attempt)
            continue
        if session and rows != part.rows:
            raise RunError(f"table {name}: {rows} rows were read, the snapshot has {part.rows}")
        return rows
    raise AssertionError
