"""Database servers: how a SQLAlchemy address becomes one that Spark's JDBC source takes, and how each keeps a snapshot.

SQLAlchemy reflects (tables, types, keys), Spark reads. Both go by the same address, `dialect://user:password@host/name`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from spark_synth.errors import RunError, UserError

SQLITE = "sqlite"


@dataclass(frozen=True)
class Server:
    """What Spark needs to read from a kind of database: driver class, Maven package, form of the JDBC address."""

    driver: str
    package: str
    form: str
    port: int
    query: tuple[tuple[str, str], ...] = ()  # options that are always set
    module: str = ""  # what SQLAlchemy needs to be installed, for messages


SERVERS = {
    "postgresql": Server(
        "org.postgresql.Driver",
        "org.postgresql:postgresql:42.7.4",
        "jdbc:postgresql://{host}:{port}/{database}",
        5432,
        module="psycopg[binary]",
    ),
    # MariaDB's driver under MySQL's name: Spark quotes names as MySQL does for such addresses alone.
    "mysql": Server(
        "org.mariadb.jdbc.Driver",
        "org.mariadb.jdbc:mariadb-java-client:3.5.1",
        "jdbc:mysql://{host}:{port}/{database}",
        3306,
        (("permitMysqlScheme", "true"),),
        module="pymysql",
    ),
    "mssql": Server(
        "com.microsoft.sqlserver.jdbc.SQLServerDriver",
        "com.microsoft.sqlserver:mssql-jdbc:12.8.1.jre11",
        "jdbc:sqlserver://{host}:{port};databaseName={database}",
        1433,
        module="pyodbc",
    ),
    "oracle": Server(
        "oracle.jdbc.OracleDriver",
        "com.oracle.database.jdbc:ojdbc11:23.5.0.24.07",
        "jdbc:oracle:thin:@//{host}:{port}/{database}",
        1521,
        module="oracledb",
    ),
    "snowflake": Server(
        "net.snowflake.client.jdbc.SnowflakeDriver",
        "net.snowflake:snowflake-jdbc:3.19.0",
        "jdbc:snowflake://{host}.snowflakecomputing.com/",
        443,
        module="snowflake-sqlalchemy",
    ),
}
SERVERS["mariadb"] = SERVERS["mysql"]
_DRIVERS = {"postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql", "mariadb": "mariadb+pymysql"}


def parse_url(text: str) -> URL:
    """The address; UserError, without any password, where it is none or of no known kind of database."""
    try:
        url = sa.make_url(text)
    except ArgumentError:
        raise UserError("the address of the database is not of the form dialect://user@host/name") from None
    kind = url.get_backend_name()
    if kind != SQLITE and kind not in SERVERS:
        raise UserError(f"address {shown(url)}: databases of kind {kind!r} are not known ({_known()})")
    return url.set(drivername=_DRIVERS[kind]) if url.drivername in _DRIVERS else url


def shown(url: URL | str) -> str:
    """An address as it may be shown: without user's password and options."""
    url = sa.make_url(url) if isinstance(url, str) else url
    return url.set(query={}).render_as_string(hide_password=True)


def server_of(url: URL) -> Server:
    """What Spark needs to read from there."""
    return SERVERS[url.get_backend_name()]


def engine_of(url: URL) -> Engine:
    """An engine whose errors and logs show no values of statements."""
    try:
        return sa.create_engine(url, hide_parameters=True, pool_pre_ping=True)
    except NoSuchModuleError:
        raise UserError(f"address {shown(url)}: SQLAlchemy has no {url.drivername!r} ({_install(url)})") from None
    except ImportError:
        raise UserError(f"address {shown(url)}: the Python driver is not installed ({_install(url)})") from None


@contextmanager
def told_plainly(url: URL, doing: str) -> Iterator[None]:
    """Errors of the database within it, in one line that shows no password."""
    try:
        yield
    except SQLAlchemyError as error:
        raise RunError(f"{doing} {shown(url)} failed: {first_line(error, url)}") from None


def first_line(error: BaseException | str, url: URL) -> str:
    """What an error of a driver says, in one line and without the password."""
    told = str(getattr(error, "orig", None) or error)
    line = " ".join(told.split())[:300]
    return line.replace(str(url.password), "***") if url.password else line


def jdbc_options(url: URL) -> dict[str, str]:
    """Address, driver, user and password for Spark's JDBC source. Spark masks a password that is an option."""
    server = server_of(url)
    address = server.form.format(
        host=url.host or "localhost", port=url.port or server.port, database=(url.database or "").partition("/")[0]
    )
    query = dict(server.query)
    if url.get_backend_name() == "snowflake":
        database, _, schema = (url.database or "").partition("/")
        query |= {"db": database, **({"schema": schema} if schema else {})}
        query |= {k: str(v) for k, v in url.query.items() if k in ("warehouse", "role")}
    if query:
        address += "?" + urlencode(query)
    options = {"url": address, "driver": server.driver}
    return options | {k: str(v) for k, v in (("user", url.username), ("password", url.password)) if v is not None}


@contextmanager
def snapshot(engine: Engine) -> Iterator[tuple[Connection, str | None]]:
    """A read-only transaction that sees one state of the database, and the statement by which another session, in a
    transaction of its own, sees the same one; None where the database has no such statement (all but PostgreSQL)."""
    with engine.connect() as connection:
        if engine.dialect.name != "postgresql":
            with connection.begin():
                yield connection, None
            return
        connection = connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        with connection.begin():
            name = connection.scalar(sa.text("SELECT pg_export_snapshot()"))
            mode = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"
            yield connection, f"{mode}; SET TRANSACTION SNAPSHOT '{name}'"


def _known() -> str:
    return ", ".join([*SERVERS, SQLITE])


def _install(url: URL) -> str:
    module: Any = SERVERS[url.get_backend_name()].module if url.get_backend_name() in SERVERS else ""
    return f"pip install '{module}'"
