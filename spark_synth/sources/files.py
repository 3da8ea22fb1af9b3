"""Tables in files: CSV, JSON lines, Parquet and Delta, one file or folder a table."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from py4j.protocol import Py4JJavaError
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, MapType, StringType, StructType

from spark_synth.errors import UserError
from spark_synth.sources.spark_util import col, exists, latest_version, quote

# A line with more or fewer fields than the header leaves its text here; the name is one no table will have.
_RAGGED = "__spark_synth_ragged_line__"
_JSON = (".json", ".jsonl", ".ndjson", ".json.gz", ".jsonl.gz", ".ndjson.gz")
_ENDINGS = (".csv", ".csv.gz", ".parquet", ".delta", *_JSON)


@dataclass(frozen=True)
class RawTable:
    """A table as its source gives it."""

    frame: DataFrame
    place: str  # where it was read, for messages
    untyped: frozenset[str] = frozenset()  # columns that are text only because the source knows no types
    types: dict[str, str] = field(default_factory=dict)  # types that the source declares for untyped columns
    ragged: str | None = None  # column that is not NULL where a line does not fit
    misfit: str = "have more or fewer fields than the header"  # what such lines do
    version: int | None = None  # of a Delta table; later ones are not read


def read_file_table(spark: SparkSession, folder: str, format_: str, table: str) -> RawTable:
    """The table of that name in the folder; the first that is there of .csv, .csv.gz, .parquet, Delta folder, JSON
    lines."""
    tried = []
    for path, read in _candidates(folder, format_, table):
        if exists(spark, path if read is not _read_delta else f"{path}/_delta_log"):
            return read(spark, path)
        tried.append(path)
    raise UserError(f"table {table!r} has no data: looked for {', '.join(dict.fromkeys(tried))}")


def list_file_tables(spark: SparkSession, folder: str, format_: str) -> list[str]:
    """Names of the tables in a folder: those that `read_file_table` finds."""
    jvm = spark.sparkContext._jvm
    assert jvm is not None
    place = jvm.org.apache.hadoop.fs.Path(folder)
    files = place.getFileSystem(spark.sparkContext._jsc.hadoopConfiguration()).listStatus(place)
    found = [(f.getPath().getName(), bool(f.isDirectory())) for f in files]
    names = set()
    for name, is_folder in found:
        stem = name.removesuffix(max((e for e in _ENDINGS if name.endswith(e)), key=len, default=""))
        paths = [path for path, _ in _candidates(folder, format_, stem)]
        tells = stem != name or (is_folder and (format_ == "parquet" or exists(spark, f"{folder}/{name}/_delta_log")))
        if tells and not name.startswith((".", "_", "metadata.json")) and f"{folder.rstrip('/')}/{name}" in paths:
            names.add(stem)
    return list(names)


def read_table_at(spark: SparkSession, path: str) -> RawTable:
    """The table at that very path, by what it is: a Delta folder, CSV or JSON lines by its name, else Parquet."""
    if exists(spark, f"{path}/_delta_log"):
        return _read_delta(spark, path)
    if path.endswith(_JSON):
        return _read_json(spark, path)
    return _read_csv(spark, path) if path.endswith((".csv", ".csv.gz")) else _read_parquet(spark, path)


def nested_as_text(frame: DataFrame) -> DataFrame:
    """The frame with arrays, maps and structures as JSON text."""
    nested = [f.name for f in frame.schema if isinstance(f.dataType, ArrayType | MapType | StructType)]
    return frame.withColumns({c: F.to_json(col(c)) for c in nested}) if nested else frame


def _candidates(folder: str, format_: str, table: str) -> list[tuple[str, Callable[[SparkSession, str], RawTable]]]:
    base = f"{folder.rstrip('/')}/{table}"
    found: dict[str, list[tuple[str, Callable[[SparkSession, str], RawTable]]]] = {
        "csv": [(f"{base}.csv", _read_csv), (f"{base}.csv.gz", _read_csv)],
        "parquet": [(f"{base}.parquet", _read_parquet)],
        "delta": [(base, _read_delta), (f"{base}.delta", _read_delta)],
        "json": [(base + ending, _read_json) for ending in _JSON],
    }
    if format_ == "parquet":
        found["parquet"].append((base, _read_parquet))
    return found[format_] if format_ in found else [c for group in found.values() for c in group]


def _read_csv(spark: SparkSession, path: str) -> RawTable:
    reader = spark.read.option("header", True).option("multiLine", True).option("escape", '"')
    reader = reader.option("encoding", "UTF-8").option("mode", "PERMISSIVE")
    header = reader.csv(path).schema
    if not header.fields:
        raise UserError(f"{path} is empty: it needs a header line and rows")
    schema = StructType([*header.fields]).add(_RAGGED, StringType())
    frame = reader.option("columnNameOfCorruptRecord", _RAGGED).schema(schema).csv(path)
    # NULL is the empty field, quoted or not; Spark alone would keep "" as an empty text
    fields = [F.nullif(col(f.name), F.lit("")).alias(f.name) for f in header.fields]
    return RawTable(frame.select(*fields, col(_RAGGED)), path, frozenset(header.names), ragged=_RAGGED)


def _read_json(spark: SparkSession, path: str) -> RawTable:
    """One object a line. Numbers and truth values are typed by Spark; dates and long numbers may be text."""
    reader = spark.read.option("encoding", "UTF-8").option("mode", "PERMISSIVE")
    fields = [f for f in reader.option("columnNameOfCorruptRecord", _RAGGED).json(path).schema if f.name != _RAGGED]
    if not fields:
        raise UserError(f"{path} holds no objects: it needs one a line")
    schema = StructType(fields).add(_RAGGED, StringType())
    frame = reader.option("columnNameOfCorruptRecord", _RAGGED).schema(schema).json(path)
    # Spark reads no file for the text of misfits alone, so they are told by another column too
    frame = nested_as_text(frame)
    first = F.coalesce(col(fields[0].name).cast("string"), F.lit(""))
    frame = frame.withColumn(_RAGGED, F.when(col(_RAGGED).isNotNull(), first))
    texts = frozenset(f.name for f in fields if isinstance(f.dataType, StringType))
    return RawTable(frame, path, texts, ragged=_RAGGED, misfit="are no JSON object")


def _read_parquet(spark: SparkSession, path: str) -> RawTable:
    try:
        return RawTable(nested_as_text(spark.read.parquet(path)), path)
    except Py4JJavaError as error:
        if "TIMESTAMP(NANOS" not in str(error.java_exception):
            raise
    spark.conf.set("spark.sql.legacy.parquet.nanosAsLong", "true")
    frame = spark.read.parquet(path)
    return RawTable(nested_as_text(frame.withColumns(_from_nanoseconds(spark, frame))), path)


def _from_nanoseconds(spark: SparkSession, frame: DataFrame) -> dict[str, Column]:
    """The columns that Parquet calls TIMESTAMP(NANOS), as pandas writes them; Spark reads them as longs."""
    jvm: Any = spark._jvm
    reader, path = jvm.org.apache.parquet.hadoop.ParquetFileReader, jvm.org.apache.hadoop.fs.Path
    conf = spark._jsc.hadoopConfiguration()
    footer = reader.readFooter(conf, path(frame.inputFiles()[0])).getFileMetaData().getSchema().toString()
    found = re.findall(r"int64 (.+?) \(TIMESTAMP\(NANOS,(true|false)\)\)", footer)
    types = {"true": "timestamp", "false": "timestamp_ntz"}  # whether the values are instants
    # `/` would make doubles, which have too few digits for nanoseconds
    micros = {c: F.expr(f"({quote(c)} - pmod({quote(c)}, 1000)) div 1000") for c, _ in found}
    return {c: F.timestamp_micros(micros[c]).cast(types[instant]) for c, instant in found}


def _read_delta(spark: SparkSession, path: str) -> RawTable:
    """The rows of the last version, whatever is written to the table while it is read."""
    version = latest_version(spark, path)
    reader = spark.read.format("delta").option("versionAsOf", version)
    return RawTable(nested_as_text(reader.load(path)), path, version=version)
