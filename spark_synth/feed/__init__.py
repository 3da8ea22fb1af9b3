"""Encoded families to torch batches, through Petastorm: the only room that imports it."""

from spark_synth.feed.packs import PackFeed, PackShape, read_packs

__all__ = ["PackFeed", "PackShape", "read_packs"]
