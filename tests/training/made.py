"""A small table to train: families of two rows whose codes follow the context."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from pyspark.sql import SparkSession

from spark_synth.encoding.encode import write_packs
from spark_synth.models.spec import GeneratorSpec
from spark_synth.training.job import FitJob

FAMILIES = 300
SPEC = GeneratorSpec(
    cards=[4, 5], context_cards=[3], recurrent=True, frequencies=[[1.0] * 4, [1.0] * 5], hidden=8, head=4
)


def made_packs(spark: SparkSession, path: str, families: int = FAMILIES, shards: int = 1) -> str:
    """Packs of 300 families, a fifth of them held out, in the folder `path`."""
    df = spark.createDataFrame(pd.DataFrame({"f": range(families)})).selectExpr(
        "hash(f) as bucket",
        "f % 5 = 0 as __holdout",
        "transform(array(f % 3, f % 4, f % 3 + 1, f % 2), x -> cast(x as smallint)) as codes",
        "array(cast(f % 3 as smallint)) as context",
        "2 as length",
        "0 as start",
        "2 as size",
        "cast(array() as array<smallint>) as sets",
    )
    write_packs(df, families * 2, path, shards)
    return path


def made_job(packs: str, folder: Path) -> FitJob:
    """Four epochs of five steps on the packs; model and checkpoints below `folder`."""
    return FitJob(
        table="t",
        columns=2,
        packs=packs,
        folder=str(folder / "model"),
        scratch=str(folder / "scratch"),
        spec=SPEC.to_json(),
        train_rows=480,
        holdout_rows=120,
        epochs=4,
        batch_rows=100,
        seconds=600,
        threads=1,
        learning_rate=0.02,
        patience=10,
        seed=3,
        checkpoint_seconds=300,
    )
