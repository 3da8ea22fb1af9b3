"""Reading real databases: files and SQLite, typed, checked and sampled."""

from spark_synth.sources.given import read_given
from spark_synth.sources.listing import keys_of, list_tables, read_table
from spark_synth.sources.reader import Database, open_database
from spark_synth.sources.sqlite import is_sqlite

__all__ = ["Database", "is_sqlite", "keys_of", "list_tables", "open_database", "read_given", "read_table"]
