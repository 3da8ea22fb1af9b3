"""Writing tables: Delta folders and catalog tables."""

from spark_synth.sinks.delta import read_delta, read_version, table_target, write_delta

__all__ = ["read_delta", "read_version", "table_target", "write_delta"]
