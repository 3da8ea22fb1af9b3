"""Reading real databases: files and SQLite, typed, checked and sampled."""

from spark_synth.sources.given import read_given
from spark_synth.sources.listing import keys_of, list_tables, read_table
from spark_synth.sources.reader import Database, open_database

__all__ = ["Database", "keys_of", "list_tables", "open_database", "read_given", "read_table"]
