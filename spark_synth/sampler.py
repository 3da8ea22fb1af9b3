"""A trained database as a model: what MLflow's pyfunc loads (`_load_pyfunc`). Needs Spark, and no Delta.

`predict` draws a small database by the code that draws large ones, as far as the table that is asked for hangs on it.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

import spark_synth
from spark_synth.config import SparkSettings
from spark_synth.encoding.plan import TablePlan
from spark_synth.generation.links import fill_links
from spark_synth.generation.run import Generation, ancestors
from spark_synth.generation.tables import generate_table
from spark_synth.schema.names import quote
from spark_synth.session import build_session

INPUTS = {"table": "string", "rows": "long", "seed": "long"}
OUTPUTS = {"table": "string", "row": "long", "values": "string"}
MOST_ROWS = 1000  # of one table that is asked for
LEAST_ROWS = 100  # of a table that are drawn, so that few rows are not those of one family
TRIES = 4  # draws of more, where a table came out with too few rows
SETTINGS = SparkSettings(app_name="spark-synth-sample", conf={"spark.driver.memory": "2g"})


class Sampler:
    """Small samples of the tables of a trained database.

    folder: of the trained package (plans, weights, kept rows). Rows of reference tables are the real ones, as ever.
    """

    def __init__(self, folder: Path) -> None:
        about = json.loads((folder / "database.json").read_text())
        self.folder, self.segment_rows = folder, int(about["segment_rows"])
        texts = {t: (folder / t / "plan.json").read_text() for t in about["tables"]}
        self.plans = {t: TablePlan.from_json(json.loads(text)) for t, text in texts.items()}

    def predict(self, asked: pd.DataFrame, params: Mapping[str, Any] | None = None) -> pd.DataFrame:
        """For each row (table, rows, seed) of `asked` so many rows of that table: table, row (from 0) and values, a
        JSON text of its columns.

        The rows are those of a small database of their own, with links to rows of it. The same seed gives the same
        rows. ValueError for a table that is not there, or for more than MOST_ROWS rows.
        """
        parts = [self._sample(*one) for one in asked[list(INPUTS)].itertuples(index=False)]
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(OUTPUTS))

    def _sample(self, table: str, rows: int, seed: int) -> pd.DataFrame:
        if table not in self.plans:
            raise ValueError(f"no table {table!r} in this model (tables: {', '.join(self.plans)})")
        if not 0 < rows <= MOST_ROWS:
            raise ValueError(f"{rows} rows of {table}: a sample has 1 to {MOST_ROWS} rows; `generate` makes more")
        ratio = max(rows, LEAST_ROWS) / self.plans[table].rows
        for _ in range(TRIES):
            with _folder() as work:
                found = _picked(self._drawn(table, ratio, int(seed), work), int(rows))
            if len(found) == rows:
                break
            ratio *= 2
        numbered = {"table": table, "row": range(len(found)), "values": found}
        return pd.DataFrame(numbered, columns=list(OUTPUTS))

    def _drawn(self, table: str, ratio: float, seed: int, work: str) -> DataFrame:
        """The table, of a database of that ratio, of which what it hangs on is made."""
        run = Generation(
            spark=_session(),
            plans=self.plans,
            models=str(self.folder),
            work=work,
            kept={t: str(self.folder / "kept" / t) for t, p in self.plans.items() if p.reference},
            ratio=ratio,
            seed=seed,
            segment_rows=self.segment_rows,
            partitions=None,
        )
        needed = {table, *ancestors(self.plans, [table])}
        for t in self.plans:
            if t in needed and t not in run.kept:
                generate_table(run, t)
        return fill_links(run, table)


def _load_pyfunc(path: str) -> Sampler:
    """What MLflow calls with the folder of the model's data."""
    return Sampler(Path(path))


def _picked(rows: DataFrame, most: int) -> list[str]:
    """So many rows as JSON texts, chosen by a hash of their values."""
    whole = F.to_json(F.struct(*[F.col(quote(c)) for c in rows.columns]), {"ignoreNullFields": "false"})
    texts = rows.select(whole.alias("values"))
    return [r["values"] for r in texts.orderBy(F.xxhash64("values"), "values").limit(most).collect()]


def _session() -> SparkSession:
    """The running session, or a local one, whose workers find this package where MLflow has put it."""
    spark = build_session(SETTINGS, delta=False)
    _ship_code(spark.sparkContext.applicationId)
    return spark


@cache
def _ship_code(application: str) -> tempfile.TemporaryDirectory[str]:
    """Give the workers of the application this package, once; the folder is there while this process lives."""
    folder, root = _folder(), Path(spark_synth.__file__).parent.parent
    packed = shutil.make_archive(f"{folder.name}/{application}", "zip", root, "spark_synth")
    SparkSession.builder.getOrCreate().sparkContext.addPyFile(packed)
    return folder


def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="spark-synth-")
