"""Writing a synthetic database back: into a database server, a SQLite file, or plain files.

Tables of a server are loaded under other names, without constraints; then, in one transaction where the server has such
for its catalogue, they take their names and get keys, checks and indexes, which the server holds the rows against. So
either all tables are there, whole and valid, or none is.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from pyspark.sql import DataFrame, SparkSession
from sqlalchemy.engine import URL, Connection, Engine
from sqlalchemy.schema import AddConstraint, CreateIndex, DropConstraint, DropTable

from spark_synth.config import RunConfig
from spark_synth.environment import Environment
from spark_synth.errors import RunError, UserError
from spark_synth.pipeline.failures import plainly
from spark_synth.pipeline.package import Package
from spark_synth.pipeline.stages import Workshop
from spark_synth.pipeline.state import Manifest
from spark_synth.progress import Progress
from spark_synth.schema import Schema
from spark_synth.servers.address import SQLITE, engine_of, parse_url, shown, told_plainly
from spark_synth.servers.declared import load_declared, reflect
from spark_synth.sinks import read_delta, table_target
from spark_synth.sinks.ddl import Design, Origin, design
from spark_synth.sinks.files import FORMATS, write_files
from spark_synth.sinks.fitting import fitting_rows
from spark_synth.sinks.load import load_rows
from spark_synth.sinks.sqlite import write_sqlite
from spark_synth.sources.listing import DECLARED
from spark_synth.sources.spark_util import run_parallel
from spark_synth.sources.sqlite import SUFFIXES, is_sqlite

_TRANSACTIONAL = ("postgresql", "mssql")  # whose changes of the catalogue are part of a transaction


@dataclass(frozen=True)
class Order:
    """What is asked for. to: address of a database, path of a SQLite file, or csv:FOLDER or parquet:FOLDER."""

    to: str
    prefix: str
    replace: bool = False
    namespace: str | None = None


@plainly
def export(
    config: RunConfig,
    to: str,
    prefix: str = "synth_",
    replace: bool = False,
    namespace: str | None = None,
    ddl_only: bool = False,
) -> None:
    """Write a synthetic database to another place, or print the statements that make its tables there; see Order."""
    order = Order(Environment().fill(to, ("--to",)), prefix, replace, namespace)
    if order.to.partition(":")[0] not in FORMATS:
        target_url(order.to)  # whatever is wrong with it is told before Spark starts
    elif ddl_only:
        raise UserError(f"--ddl-only: there are no statements for {order.to}")
    manifest = _generated(config)
    shop = Workshop(config, approve=True)
    found = written(shop.spark, shop.config, shop.package(manifest), manifest)
    if ddl_only:
        sys.stdout.write(ddl(found, order))
        return
    shop.progress.stage(f"export {manifest.name}")
    export_database(found, order, shop.progress)


def _generated(config: RunConfig) -> Manifest:
    """The manifest of the database of that identifier, or of the last one below the output."""
    output, name = Path(config.output).absolute(), config.generate.identifier
    folders = [output / name] if name else [p.parent for p in output.glob("*/manifest.json")]
    found = [Manifest.read(f) for f in folders if (f / "manifest.json").exists()]
    done = [m for m in found if m.data["state"] in ("generated", "evaluated")]
    if not done:
        where = f"{output / name}" if name else f"{output}"
        raise UserError(f"no {'finished' if found else 'generated'} database in {where}: check output and --identifier")
    return max(done, key=lambda m: str(m.data["created"]))


@dataclass(frozen=True)
class Written:
    """A synthetic database: its tables, schema, and what is known of the source."""

    tables: Mapping[str, DataFrame]
    schema: Schema
    origin: Origin


def written(spark: SparkSession, config: RunConfig, package: Package, manifest: Manifest) -> Written:
    """The tables of a finished generation."""
    schema = package.schema
    names = [t for t in schema.tables if t in package.plans]
    tables = {t: read_delta(spark, table_target(config.output, manifest.name, t)) for t in names}
    return Written(tables, schema, _origin(config))


def export_database(found: Written, order: Order, progress: Progress) -> None:
    """Write it to where the order says. Nothing is replaced unless the order says so."""
    kind, _, folder = order.to.partition(":")
    if kind in FORMATS:
        named = {order.prefix + t: rows for t, rows in found.tables.items()}
        write_files(named, _renamed(found.schema, order.prefix), kind, Path(folder).absolute(), order.replace)
        progress.note(f"{len(named)} tables as {kind} files, with metadata.json, in {folder}")
        return
    url = target_url(order.to)
    made = _design(found, order, url)
    for note in made.notes:
        progress.note(note)
    if url.get_backend_name() == SQLITE:
        rows = {t: fitting_rows(found.tables[t], made.tables[t], _dialect(url)) for t in found.tables}
        counts = write_sqlite(Path(url.database or ""), made, rows, order.replace)
    else:
        counts = _to_server(found, order, url, made, progress)
    progress.note(f"{len(counts)} tables, {sum(counts.values()):,} rows in {shown(url)}")


def ddl(found: Written, order: Order) -> str:
    """The statements that make the tables, as text."""
    url = target_url(order.to)
    return ";\n\n".join(_design(found, order, url).statements(_dialect(url))) + ";\n"


def target_url(to: str) -> URL:
    """The address that is written to: as it is, or that of a SQLite file."""
    if "://" in to:
        return parse_url(to)
    if not to.endswith(SUFFIXES):
        raise UserError(
            f"--to {to}: not a place to write to; use an address (dialect://user@host/name), a SQLite file "
            f"({', '.join(SUFFIXES)}), csv:FOLDER or parquet:FOLDER"
        )
    return URL.create(SQLITE, database=str(Path(to).absolute()))


def _origin(config: RunConfig) -> Origin:
    """What the source declares of its tables."""
    source = config.source
    if source.catalog:
        return Origin()
    told = Path(source.path) / DECLARED
    if told.exists():
        return Origin(*load_declared(told))
    if is_sqlite(source.format, source.path) and Path(source.path).is_file():
        engine = engine_of(
            URL.create(SQLITE, database=f"file:{Path(source.path).absolute()}", query={"mode": "ro", "uri": "true"})
        )
        with engine.connect() as connection:
            return Origin(reflect(connection, None), SQLITE)
    return Origin()


def _dialect(url: URL) -> sa.Dialect:
    return engine_of(url).dialect


def _design(
    found: Written, order: Order, url: URL, names: Mapping[str, str] | None = None, bare: bool = False
) -> Design:
    types = {t: {f.name: f.dataType.simpleString() for f in rows.schema} for t, rows in found.tables.items()}
    called = names or {t: order.prefix + t for t in types}
    dialect = _dialect(url)
    return design(found.schema, types, found.origin, dialect, called, order.prefix, order.namespace, bare)


def _renamed(schema: Schema, prefix: str) -> Schema:
    made = schema.model_copy(deep=True)
    for table in made.tables.values():
        for fk in table.foreign_keys:
            fk.parent = prefix + fk.parent
    return made.model_copy(update={"tables": {prefix + t: v for t, v in made.tables.items()}})


def _to_server(found: Written, order: Order, url: URL, made: Design, progress: Progress) -> dict[str, int]:
    """Rows by table."""
    engine = engine_of(url)
    mark = hashlib.sha256(order.prefix.encode()).hexdigest()[:8]
    names = {t: f"loading_{mark}_{i}" for i, t in enumerate(found.tables)}
    bare = _design(found, order, url, names, bare=True)
    try:
        with told_plainly(url, "writing to"):
            made.existing(engine, shown(url), order.replace)
            _clear(engine, bare)
            older = _type_names(engine, order.namespace)
            try:
                with engine.begin() as connection:
                    bare.metadata.create_all(connection)
                counts = _load(found, bare, engine, url, progress)
                _finish(engine, made, bare, order, lambda: _design(found, order, url, names))
            except BaseException:
                _clear(engine, bare)
                _drop_types(engine, bare, older)
                raise
    finally:
        engine.dispose()
    return counts


def _clear(engine: Engine, bare: Design) -> None:
    """Drop what this export, or one before it that did not end, has loaded."""
    with engine.begin() as connection:
        for table in bare.tables.values():
            connection.execute(DropTable(table, if_exists=True))


def _type_names(engine: Engine, namespace: str | None) -> set[str]:
    """Enumerations that are types of their own, where the server has such."""
    if engine.dialect.name != "postgresql":
        return set()
    return {e["name"] for e in sa.inspect(engine).get_enums(namespace)}  # type: ignore[attr-defined]


def _drop_types(engine: Engine, bare: Design, older: set[str]) -> None:
    """Drop the enumerations that were made for the tables, which went with them; `older` stay."""
    columns = [c for t in bare.tables.values() for c in t.columns]
    made = {c.type.name: c.type for c in columns if isinstance(c.type, sa.Enum) and c.type.name}
    with engine.begin() as connection:
        for name in sorted(_type_names(engine, bare.metadata.schema) & made.keys() - older):
            made[name].drop(connection, checkfirst=True)


def _load(found: Written, bare: Design, engine: Engine, url: URL, progress: Progress) -> dict[str, int]:
    """Fill all tables; each is counted afterwards, since a task that is repeated may have been heard twice."""

    def load(name: str) -> int:
        table = bare.tables[name]
        loaded = load_rows(fitting_rows(found.tables[name], table, engine.dialect), table, url)
        with engine.connect() as connection:
            there = connection.scalar(sa.select(sa.func.count()).select_from(table))
        if there != loaded:
            raise RunError(f"table {name}: {loaded} rows were loaded, {there} are there; nothing was kept, try again")
        progress.note(f"{name}: {loaded:,} rows loaded")
        return loaded

    names = list(found.tables)
    return dict(zip(names, run_parallel(found.tables[names[0]].sparkSession, load, names), strict=True))


def _finish(engine: Engine, made: Design, bare: Design, order: Order, loaded: Callable[[], Design]) -> None:
    """Give the loaded tables their constraints and names, in the place of older ones where these are to be replaced.

    loaded: makes the design of the tables under the names that they were loaded by.
    """
    with engine.begin() as connection:
        if engine.dialect.name not in _TRANSACTIONAL:
            _constrain(connection, loaded())  # whatever fails does so before an older table is gone
        if order.replace:
            _drop_older(connection, made, order)
        for name, table in made.tables.items():
            _rename(connection, bare.tables[name], table.name)
        if engine.dialect.name in _TRANSACTIONAL:
            _constrain(connection, made)


def _constrain(connection: Connection, made: Design) -> None:
    for key in (*made.keys(), *made.foreign_keys()):
        connection.execute(AddConstraint(key))
    for index in made.indexes():
        connection.execute(CreateIndex(index))


def _drop_older(connection: Connection, made: Design, order: Order) -> None:
    """Foreign keys between these tables go first; one of any other table that refers to them makes this fail."""
    names = made.existing(connection, shown(connection.engine.url), order.replace)
    if names:
        older = sa.MetaData(schema=order.namespace)
        older.reflect(connection, only=names, resolve_fks=False)
        tables = [t for t in older.tables.values() if t.name in names]
        for key in [k for t in tables for k in t.foreign_key_constraints if k.name]:
            connection.execute(DropConstraint(key))
        for table in tables:
            connection.execute(DropTable(table))


def _rename(connection: Connection, table: sa.Table, name: str) -> None:
    quote = connection.dialect.identifier_preparer
    if connection.dialect.name == "mssql":
        connection.execute(sa.text("EXEC sp_rename :old, :new"), {"old": quote.format_table(table), "new": name})
    else:
        connection.exec_driver_sql(f"ALTER TABLE {quote.format_table(table)} RENAME TO {quote.quote_identifier(name)}")
