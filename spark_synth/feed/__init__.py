"""Encoded families to torch batches, through Petastorm: the only room that imports it."""

from spark_synth.feed.packs import PackFeed, read_packs

__all__ = ["PackFeed", "read_packs"]
