"""Synthetic tables as plain files: CSV or Parquet, one a table, with SDV metadata beside them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from pyspark.sql import DataFrame

from spark_synth.errors import UserError
from spark_synth.schema.model import Schema
from spark_synth.schema.sdv import to_sdv

FORMATS = ("csv", "parquet")


def write_files(tables: Mapping[str, DataFrame], schema: Schema, format_: str, folder: Path, replace: bool) -> None:
    """A folder `<table>.<format>` of part files a table, or one file where the rows fit into one, and metadata.json.

    The folder appears when all is written. UserError where it is there already and is not to be replaced.
    """
    if folder.exists() and not replace and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} is there already: --replace replaces it")
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        for name, rows in tables.items():
            _write(rows, part / name, format_)
        (part / "metadata.json").write_text(json.dumps(to_sdv(schema), indent=1), encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _write(rows: DataFrame, path: Path, format_: str) -> None:
    target = path.with_name(f"{path.name}.{format_}")
    writer = rows.write.options(header="true", escape='"', timestampFormat="yyyy-MM-dd HH:mm:ss[.SSSSSS]")
    writer.format(format_).save(str(target))
    parts = [p for p in target.iterdir() if p.name.startswith("part-")]
    if len(parts) == 1:  # as any other program wants it
        parts[0].rename(path)
        shutil.rmtree(target)
        path.rename(target)
