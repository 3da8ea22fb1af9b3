"""Scores of databases whose answer is known: the real one, another sample of it, and the real one with its columns
shuffled, its links dealt anew, or released as it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession

from spark_synth.config import SourceSettings
from spark_synth.evaluation import evaluate_database, find_ceiling
from spark_synth.evaluation.halves import Halves, halves
from spark_synth.evaluation.privacy import evaluate_privacy
from spark_synth.schema import Schema, load_schema
from spark_synth.schema.graph import choose_owners
from spark_synth.sources import open_database
from tests.evaluation.conftest import OWNERS, Settings, plain, shop, shop_schema

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]
SETTINGS = Settings(detection_rows=3000, sample_rows=20_000, privacy_rows=2000)


class Source(NamedTuple):
    """A real database and two halves of it."""

    tables: Mapping[str, DataFrame]
    schema: Schema
    owners: Mapping[str, str | None]
    references: set[str]
    cut: Halves

    def scores(self, real: Mapping[str, DataFrame], synth: Mapping[str, DataFrame]) -> Any:  # noqa: ANN401 - JSON
        return evaluate_database(
            real,
            synth,
            self.schema,
            ratio=1.0,
            owners=self.owners,
            references=self.references,
            settings=SETTINGS,
        )

    def mean(self, found: Mapping[str, Any], way: str) -> float:
        """Mean score of the tables, individual or across tables."""
        scores = [v["quality"][way]["score"] for v in found["tables"].values() if "quality" in v]
        return float(pd.Series(scores, dtype=float).mean())

    def changed(self, change: Callable[[pd.DataFrame, str], pd.DataFrame]) -> dict[str, DataFrame]:
        """The tables after a change in memory."""
        spark = next(iter(self.tables.values())).sparkSession
        out = {}
        for t, frame in self.tables.items():
            rows = change(pd.DataFrame(frame.collect(), columns=frame.columns, dtype=object), t)
            values = [[plain(v) for v in row] for row in rows.to_numpy().tolist()]
            out[t] = spark.createDataFrame(values, frame.schema).localCheckpoint()
        return out


@pytest.fixture(scope="module", params=["shop", "northwind", "basketball3"])
def source(request: pytest.FixtureRequest, spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Source:
    folder = str(tmp_path_factory.mktemp(request.param) / "halves")
    if request.param == "shop":
        tables = request.getfixturevalue("frames")(shop(1))
        schema = shop_schema()
        return Source(tables, schema, OWNERS, {"country"}, halves(tables, schema, OWNERS, folder, 0))
    path: Path = request.getfixturevalue("shared_data") / request.param
    found = open_database(spark, SourceSettings(path=str(path)), load_schema(str(path / "metadata.json")), 0)
    tables = {t: frame.localCheckpoint() for t, frame in found.tables.items()}
    owners = {t: key.name if key else None for t, key in choose_owners(found.schema, found.rows).items()}
    return Source(tables, found.schema, owners, set(), halves(tables, found.schema, owners, folder, 0))


def test_the_real_database_is_near_100(source: Source) -> None:
    found = source.scores(source.tables, source.tables)
    assert found["quality"]["score"] > 99 and found["quality"]["grade"] == "Excellent"


def test_a_half_is_as_good_as_the_ceiling_says(source: Source) -> None:
    """The ceiling is told for samples of twice as many rows, whose distance is smaller by the root of two."""
    whole = Source(*source[:3], source.references | source.cut.whole, source.cut)
    found = whole.scores(source.cut.one, source.cut.other)
    ceiling = find_ceiling(source.cut, source.schema, source.owners, SETTINGS)["summary"]["score"]
    assert found["quality"]["score"] == pytest.approx(100 - (100 - ceiling) * 2**0.5, abs=5)


def test_shuffled_columns_are_low(source: Source) -> None:
    def shuffled(rows: pd.DataFrame, table: str) -> pd.DataFrame:
        for i, c in enumerate(source.schema.table(table).value_columns()):
            rows[c] = rows[c].sample(frac=1, random_state=i).to_numpy()
        return rows

    found = source.scores(source.tables, source.changed(shuffled))
    assert found["summary"]["shapes"] > 0.999
    assert source.mean(found, "individual") < 70 and source.mean(found, "cross_table") < 65
    assert found["quality"]["score"] < 65


def test_links_dealt_anew_are_low_across_tables_only(source: Source) -> None:
    def dealt(rows: pd.DataFrame, table: str) -> pd.DataFrame:
        for i, fk in enumerate(source.schema.table(table).foreign_keys):
            columns = list(fk.columns)
            rows[columns] = rows[columns].sample(frac=1, random_state=i).to_numpy()
        return rows

    found = source.scores(source.tables, source.changed(dealt))
    assert source.mean(found, "individual") > 99
    across = [v["quality"]["cross_table"]["score"] for v in found["tables"].values() if "quality" in v]
    assert min(s for s in across if s is not None) < 50  # what is tied to nothing above loses nothing


def test_a_copy_has_the_lowest_privacy(source: Source) -> None:
    sides = (source.cut.one, source.cut.other)
    kept = source.references
    copy = evaluate_privacy(source.tables, source.tables, source.schema, source.owners, kept, sides, SETTINGS, seed=0)
    half = evaluate_privacy(
        source.cut.one,
        source.cut.other,
        source.schema,
        source.owners,
        kept | source.cut.whole,
        None,
        SETTINGS,
        seed=0,
    )
    assert copy["level"] == "Poor" and copy["score"] < 30
    assert half["score"] > 80
