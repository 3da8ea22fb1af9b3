"""Encoded families to torch batches, through Petastorm: the only room that imports it."""

from spark_synth.feed.ahead import Ahead
from spark_synth.feed.packs import PackFeed, PackShape, packs_of, read_packs, row_groups, shard_rows

__all__ = ["Ahead", "PackFeed", "PackShape", "packs_of", "read_packs", "row_groups", "shard_rows"]
