"""What killed tasks and failed commits leave in the folder of a Delta table goes; everything else stays."""

from __future__ import annotations

import os
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from deltalake import DeltaTable as IndependentReader
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_synth.sinks import read_delta, write_delta

FIRST = "00000000000000000000.json"


def files(folder: Path) -> set[str]:
    """Everything below it, checksums too."""
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def data_files(folder: Path) -> set[str]:
    """Names of the data files that are there."""
    return {p.name for p in folder.rglob("*.parquet")}


def committed_files(folder: Path) -> set[str]:
    """Names of the data files that an independent reader finds in the log."""
    return {uri.rpartition("/")[2] for uri in IndependentReader(folder).file_uris()}


def unfinished(folder: Path) -> None:
    """Half a file, as a task that is killed leaves it, with its checksum, and half a commit."""
    name = f"part-00000-{uuid.uuid4()}-c000.snappy.parquet"
    for made in (name, f".{name}.crc", f"_delta_log/.{FIRST}.{uuid.uuid4()}.tmp"):
        (folder / made).parent.mkdir(parents=True, exist_ok=True)
        (folder / made).write_bytes(b"PAR1")


@pytest.mark.parametrize("column", ["id", "order id"])  # names with spaces have files in folders of random names
def test_what_no_commit_names_is_removed(spark: SparkSession, tmp_path: Path, column: str) -> None:
    folder = tmp_path / "a folder [x]"
    write_delta(spark.range(10).toDF(column).repartition(3), str(folder), "run", 1)
    written = files(folder)
    unfinished(folder)
    (folder / "notes.txt").write_text("not of a task")
    assert write_delta(spark.range(10).toDF(column), str(folder), "run", 1) == 10
    assert files(folder) == written | {"notes.txt"}
    unfinished(folder)
    write_delta(spark.range(5).toDF(column), str(folder), "run", 2)
    assert data_files(folder) == committed_files(folder)
    assert sorted(r[0] for r in read_delta(spark, str(folder)).collect()) == sorted([*range(10), *range(5)])


def test_rows_that_were_replaced_stay_in_the_versions_that_had_them(spark: SparkSession, tmp_path: Path) -> None:
    folder = tmp_path / "t"
    for version in range(1, 6):  # rows are added, replaced, added, replaced
        write_delta(spark.range(version).toDF("id"), str(folder), "run", version, replace=version in (3, 5))
        unfinished(folder)
    write_delta(spark.range(5).toDF("id"), str(folder), "run", 5)
    counts = [IndependentReader(folder, version=v).to_pyarrow_table().num_rows for v in range(5)]
    assert counts == [1, 3, 3, 7, 5]
    assert len(data_files(folder)) == sum(len(IndependentReader(folder, version=v).file_uris()) for v in (1, 3, 4))


def test_a_table_that_others_write_is_left_alone(spark: SparkSession, tmp_path: Path) -> None:
    """What no commit names may be about to be committed, and what the table has no more is part of an older version."""
    folder = tmp_path / "t"
    write_delta(spark.range(10).toDF("id"), str(folder), "run", 1)
    spark.sql(f"DELETE FROM delta.`{folder}` WHERE id > 5")
    unfinished(folder)
    before = files(folder)
    write_delta(spark.range(5).toDF("id"), str(folder), "run", 2)
    assert before <= files(folder)
    assert spark.read.format("delta").option("versionAsOf", 0).load(str(folder)).count() == 10


def test_a_task_that_fails_leaves_nothing(spark: SparkSession, tmp_path: Path) -> None:
    """Its first rows are in a file when it fails."""
    rows = spark.range(0, 20_000, 1, 2)
    fails = F.when(F.col("id") == 19_999, F.raise_error(F.lit("no such row"))).otherwise(F.col("id"))
    with pytest.raises(Exception, match="no such row"):
        write_delta(rows.select(fails.cast("bigint").alias("id")), str(tmp_path / "t"), "run", 1)
    assert not files(tmp_path / "t")
    assert write_delta(rows, str(tmp_path / "t"), "run", 1) == 20_000


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A mounted disk without room for anything."""
    folder = tmp_path / "t" / "_delta_log"
    folder.mkdir(parents=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", str(folder)], check=False)
    if mounted.returncode:
        pytest.skip("only root may mount a disk")
    (folder / "filling").write_bytes(b"x" * 4096)
    yield folder
    if os.path.ismount(folder):
        subprocess.run(["umount", str(folder)], check=True)


def committed(spark: SparkSession, folder: Path, rows: DataFrame) -> None:
    """A write that was refused is made again, and is there once."""
    assert write_delta(rows, str(folder), "run", 1) == rows.count()
    assert IndependentReader(folder).to_pyarrow_table().num_rows == rows.count()
    assert len(IndependentReader(folder).history()) == 1
    assert data_files(folder) == committed_files(folder)


def test_a_commit_that_fails_on_a_full_disk(spark: SparkSession, tmp_path: Path, full_disk: Path) -> None:
    """Rows are written, then there is no room for the commit that names them; with room it is made."""
    rows = spark.range(1000).toDF("id").repartition(2)
    with pytest.raises(Exception, match="No space left on device"):
        write_delta(rows, str(tmp_path / "t"), "run", 1)
    assert files(tmp_path / "t") == {"_delta_log/filling"}
    (full_disk / "filling").unlink()
    subprocess.run(["umount", str(full_disk)], check=True)
    committed(spark, tmp_path / "t", rows)
