"""Plans fitted to tables, as training fits them."""

from __future__ import annotations

from pathlib import Path

from pyspark.sql import DataFrame, SparkSession

from spark_synth.encoding.columns import ColumnSettings
from spark_synth.encoding.fit import Fitted, fit_database
from spark_synth.schema import Schema
from spark_synth.schema.graph import choose_owners

SEGMENT_ROWS = 50
SEED = 0


def fitted_to(spark: SparkSession, schema: Schema, tables: dict[str, DataFrame], work: Path) -> Fitted:
    """The plans and rows of `tables`, whose types the schema is given."""
    for name, df in tables.items():
        columns = schema.tables[name].columns
        schema.tables[name].columns = {c: columns[c].model_copy(update={"type": t}) for c, t in df.dtypes}
    owners = choose_owners(schema, {t: df.count() for t, df in tables.items()})
    settings = ColumnSettings(16, None)
    return fit_database(
        spark, tables, schema, owners, {}, lambda _: settings, SEGMENT_ROWS, SEED, str(work), lambda _: None
    )
