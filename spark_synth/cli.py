"""The `spark-synth` command: read the flags, load the configuration, call the pipeline, say how it ended."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spark_synth.errors import GateError, RunError, UserError

if TYPE_CHECKING:
    from spark_synth.config import RunConfig

FAILED = 1
USAGE = 2
_INTERRUPTED = 130  # what typer makes of Ctrl-C

Conf = Annotated[Path, typer.Option("--conf", help="Configuration of the run (YAML).")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="OPTION=VALUE", help="Override one option; may be repeated.")
]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of a failure.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress on the terminal.")]
Identifier = Annotated[str | None, typer.Option("--identifier", help="Name of the synthetic database.")]
Approve = Annotated[bool, typer.Option("--approve", help="Train on a discovered schema as it stands.")]

app = typer.Typer(
    help="Synthetic copies of relational databases on Spark.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
_debug: ContextVar[bool] = ContextVar("debug", default=False)


@app.command()
def discover(
    conf: Conf,
    out: Annotated[Path | None, typer.Option("--out", help="Where to write the proposed schema.")] = None,
    review: Annotated[bool, typer.Option("--review", help="Ask for what is doubtful, on the terminal.")] = False,
    overrides: Overrides = None,
    debug: Debug = False,
    quiet: Quiet = False,
) -> None:
    """Propose keys and relationships, for review."""
    config = _begin(conf, overrides, debug, quiet)
    from spark_synth import pipeline

    _result(pipeline.discover(config, out, review))


@app.command()
def approve(
    schema: Annotated[Path, typer.Argument(help="The reviewed schema file.")],
    conf: Conf,
    overrides: Overrides = None,
    debug: Debug = False,
    quiet: Quiet = False,
) -> None:
    """Hold a reviewed schema against the source and mark it approved."""
    config = _begin(conf, overrides, debug, quiet)
    from spark_synth import pipeline

    _result(pipeline.approve(config, schema))


@app.command()
def plan(
    conf: Conf, approve: Approve = False, overrides: Overrides = None, debug: Debug = False, quiet: Quiet = False
) -> None:
    """Tell the order, owner, links and estimated cost of every table, before anything starts."""
    config = _begin(conf, overrides, debug, quiet)
    from spark_synth import pipeline

    pipeline.plan(config, approve)


@app.command()
def train(
    conf: Conf, approve: Approve = False, overrides: Overrides = None, debug: Debug = False, quiet: Quiet = False
) -> None:
    """Fit encoders and models; prints the MLflow run id."""
    config = _begin(conf, overrides, debug, quiet)
    from spark_synth import pipeline

    _result(pipeline.train(config, approve))


@app.command()
def generate(
    conf: Conf,
    ratio: Annotated[float | None, typer.Option("--ratio", help="Size relative to the real database.")] = None,
    preserve: Annotated[str | None, typer.Option("--preserve", help="Tables whose real rows are kept: t1,t2.")] = None,
    identifier: Identifier = None,
    run: Annotated[str | None, typer.Option("--run", help="MLflow run id of the training (default: the last).")] = None,
    given: Annotated[
        list[str] | None,
        typer.Option("--given", metavar="TABLE=PATH", help="Rows that a table is to have; all below is made for them."),
    ] = None,
    append: Annotated[
        bool, typer.Option("--append", help="Add a wave of rows with new keys to a finished database.")
    ] = False,
    table: Annotated[
        str | None, typer.Option("--table", help="Draw this table of a finished database once more, and all below it.")
    ] = None,
    where: Annotated[
        str | None, typer.Option("--where", metavar="CONDITION", help="With --table: only the families of these rows.")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", metavar="URI", help="models:/NAME@ALIAS or models:/NAME/VERSION.")
    ] = None,
    overrides: Overrides = None,
    debug: Debug = False,
    quiet: Quiet = False,
) -> None:
    """Write the synthetic tables."""
    if table and ratio is not None:
        raise UserError("--table draws a table again as large as the database is: leave --ratio away")
    tables = [name.strip() for name in preserve.split(",") if name.strip()] if preserve else None
    rows = _pairs(given, "--given")
    config = _begin(conf, overrides, debug, quiet, ratio=ratio, preserve=tables, given=rows, identifier=identifier)
    from spark_synth import pipeline

    _result(pipeline.generate(config, run, append, table, where, model))


@app.command()
def evaluate(
    conf: Conf,
    identifier: Identifier = None,
    queries: Annotated[
        Path | None, typer.Option("--queries", help="Folder of SQL files that both databases are asked.")
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option("--target", metavar="TABLE.COLUMN", help="Column that a model is to learn; may be repeated."),
    ] = None,
    overrides: Overrides = None,
    debug: Debug = False,
    quiet: Quiet = False,
) -> None:
    """Measure the synthetic tables and write the report."""
    asked = [f"evaluate.queries={json.dumps(str(queries))}"] if queries else []
    asked += [f"evaluate.targets={json.dumps(target)}"] if target else []
    config = _begin(conf, [*(overrides or []), *asked], debug, quiet, identifier=identifier)
    from spark_synth import pipeline

    _result(pipeline.evaluate(config))


@app.command()
def promote(
    conf: Conf,
    identifier: Identifier = None,
    run: Annotated[str | None, typer.Option("--run", help="MLflow run id of the training.")] = None,
    alias: Annotated[str, typer.Option("--alias", help="champion or challenger.")] = "champion",
    overrides: Overrides = None,
    debug: Debug = False,
    quiet: Quiet = False,
) -> None:
    """Give the model of a database that met the gates an alias; the database evaluated last, if none is named."""
    config = _begin(conf, overrides, debug, quiet, identifier=identifier)
    from spark_synth import pipeline

    _result(pipeline.promote(config, run, alias))


@app.command()
def compare(
    conf: Conf,
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="MLflow run ids, or identifiers of databases.")],
    out: Annotated[Path | None, typer.Option("--out", help="HTML file to write as well.")] = None,
    overrides: Overrides = None,
    debug: Debug = False,
    quiet: Quiet = False,
) -> None:
    """Show runs side by side: parameters that differ, figures, the best of each marked."""
    config = _begin(conf, overrides, debug, quiet)
    from spark_synth import pipeline

    pipeline.compare(config, runs, out)


@app.command()
def export(
    conf: Conf,
    to: Annotated[
        str, typer.Option("--to", metavar="URI", help="A database, a SQLite file, csv:FOLDER or parquet:FOLDER.")
    ],
    prefix: Annotated[str, typer.Option("--prefix", help="Put before every table name.")] = "synth_",
    identifier: Identifier = None,
    replace: Annotated[bool, typer.Option("--replace", help="Replace tables that are there already.")] = False,
    ddl_only: Annotated[bool, typer.Option("--ddl-only", help="Print the statements that make the tables.")] = False,
    namespace: Annotated[str | None, typer.Option("--namespace", help="Schema of the database to write to.")] = None,
    overrides: Overrides = None,
    debug: Debug = False,
    quiet: Quiet = False,
) -> None:
    """Write the synthetic tables back to a database."""
    config = _begin(conf, overrides, debug, quiet, identifier=identifier)
    from spark_synth import pipeline

    pipeline.export(config, to, prefix, replace, namespace, ddl_only)


@app.command()
def run(conf: Conf, overrides: Overrides = None, debug: Debug = False, quiet: Quiet = False) -> None:
    """The whole job: train, generate, evaluate. Started again with the same identifier, it goes on where it stopped."""
    config = _begin(conf, overrides, debug, quiet)
    from spark_synth import pipeline

    _result(pipeline.run(config))


def main(args: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit code. A failure is one line on stderr, and its traceback only with --debug."""
    token = _debug.set(False)
    try:
        return _guarded(lambda: app(args=None if args is None else list(args), standalone_mode=False))
    finally:
        _debug.reset(token)


def _guarded(command: Callable[[], object]) -> int:
    """The exit code of `command`, its failures told."""
    try:
        outcome = command()
        if outcome == _INTERRUPTED:
            raise KeyboardInterrupt
        return outcome if isinstance(outcome, int) else 0
    except UserError as error:
        return _failure(str(error), USAGE)
    except typer.TyperException as error:  # a flag that does not exist, a value that does not parse
        return _failure(error.format_message(), USAGE)
    except GateError as error:
        return max(_failure(line, FAILED) for line in error.lines)
    except RunError as error:
        return _failure(str(error), FAILED)
    except (KeyboardInterrupt, typer.Abort):
        return _failure("interrupted", FAILED)
    except Exception as error:
        hint = "" if _debug.get() else " (--debug shows the traceback)"
        return _failure(f"{type(error).__name__}: {_first_line(error)}{hint}", FAILED)


def _begin(
    conf: Path,
    overrides: list[str] | None,
    debug: bool,
    quiet: bool,
    *,
    ratio: float | None = None,
    preserve: Sequence[str] | None = None,
    given: Mapping[str, str] | None = None,
    identifier: str | None = None,
) -> RunConfig:
    """What every command does first: note --debug and --quiet, then load the configuration."""
    _debug.set(debug)
    from spark_synth.config import load_config
    from spark_synth.progress import set_quiet

    set_quiet(quiet)
    return load_config(conf, overrides or [], ratio=ratio, preserve=preserve, given=given, identifier=identifier)


def _pairs(texts: Sequence[str] | None, flag: str) -> dict[str, str]:
    """What a repeated flag TABLE=PATH says."""
    pairs = [text.partition("=") for text in texts or ()]
    if not all(name.strip() and value.strip() for name, _, value in pairs):
        raise UserError(f"{flag}: write it as TABLE=PATH, such as {flag} customers=DIR/customers.parquet")
    return {name.strip(): value.strip() for name, _, value in pairs}


def _result(value: object) -> None:
    """The last line of stdout, which scripts read."""
    typer.echo(str(value))


def _failure(message: str, code: int) -> int:
    if _debug.get():
        traceback.print_exc()
    typer.echo(f"error: {' '.join(message.split())}", err=True)
    sys.stderr.flush()
    return code


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else "no message"
