"""Reading real databases: files and SQLite, typed, checked and sampled."""

from spark_synth.sources.given import read_given
from spark_synth.sources.reader import Database, open_database

__all__ = ["Database", "open_database", "read_given"]
