"""Fixtures that every test may use: one small Spark session, and the real databases where they are at hand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from spark_synth.config import SparkSettings
from spark_synth.servers.address import SERVERS
from spark_synth.session import SQLITE_PACKAGE, build_session
from tests.places import REPOSITORY


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """One session for all tests: two cores, Delta, drivers of databases, a warehouse. Only Maven needs a network."""
    folder = tmp_path_factory.mktemp("spark")
    settings = SparkSettings(
        master="local[2]",
        app_name="spark-synth-tests",
        conf={
            "spark.driver.memory": "2g",
            "spark.sql.shuffle.partitions": "2",
            "spark.sql.warehouse.dir": str(folder / "warehouse"),
        },
    )
    drivers = [SQLITE_PACKAGE, SERVERS["postgresql"].package, SERVERS["mysql"].package]
    session = build_session(settings, drivers, log_file=folder / "spark.log")
    yield session
    session.stop()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real databases (`<name>/<table>.csv.gz` with `metadata.json`) beside the repository."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real databases beside the repository ({folder})")
    return folder
