"""What a database looks like: tables, keys and relationships, and the files that declare them."""

from spark_synth.schema.check import check_schema
from spark_synth.schema.model import Column, ForeignKey, Kind, Orphans, Schema, Table
from spark_synth.schema.sdv import from_sdv, to_sdv
from spark_synth.schema.yaml_io import load_schema, save_schema

__all__ = [
    "Column",
    "ForeignKey",
    "Kind",
    "Orphans",
    "Schema",
    "Table",
    "check_schema",
    "from_sdv",
    "load_schema",
    "save_schema",
    "to_sdv",
]
