"""A database of the zoo on disk, and what is made of it with settings that are quick."""

from __future__ import annotations

from pathlib import Path

from deltalake import DeltaTable

from spark_synth import pipeline
from spark_synth.config import RunConfig, load_config
from spark_synth.schema import Schema, save_schema
from tests.places import CONF
from tests.zoo.draws import Tables


def write(folder: Path, schema: Schema, tables: Tables) -> None:
    """Parquet files and schema.yaml."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in tables.items():
        rows.to_parquet(folder / f"{name}.parquet", index=False)
    save_schema(schema, folder / "schema.yaml")


def configured(
    folder: Path, identifier: str = "made", partitions: int | None = None, family: str = "autoregressive"
) -> RunConfig:
    """The run of the database in a folder: four epochs of a small network."""
    options: dict[str, object] = {"source.path": folder, "schema": folder / "schema.yaml", "output": folder / "out"}
    options |= {"train.max_epochs": 4, "model.hidden": 32, "model.family": family}
    options |= {"generate.partitions": partitions} if partitions else {}
    return load_config(CONF, [f"{k}={v}" for k, v in options.items()], identifier=identifier)


def generated(config: RunConfig, schema: Schema) -> Tables:
    """All tables, once trained."""
    folder = pipeline.generate(config) / "tables"
    return {t: DeltaTable(folder / t).to_pandas() for t in schema.tables}
