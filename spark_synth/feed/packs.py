"""Batches of families from packs (see encoding.encode), read by Petastorm.

Petastorm shards by row group, which is one bucket of parent keys here, by their hash: any of them is a fair sample.
They come in a fixed order and packs are shuffled in a buffer, for Petastorm's own shuffling of row groups follows the
clock: its thread draws a new order each time it finds the queue full at the start of an epoch. One reader serves the
whole fit: a reader per epoch would grow memory and cost its start.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import torch
from pyarrow.dataset import dataset

from spark_synth.models.batch import FamilyBatch, rebatched

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # petastorm still names pyarrow APIs that are deprecated
    from petastorm import make_batch_reader

# Its reader threads go on naming them, where no context manager of ours reaches.
warnings.filterwarnings("ignore", category=FutureWarning, module=r"petastorm\.")
logging.getLogger("petastorm").setLevel(logging.ERROR)

BUFFER_PACKS = 1024  # packs held for shuffling: about half a million rows of int16 codes
PARTS = 8  # pieces that a batch is made of, at least, where families are small enough
Shard = tuple[int, int]
WHOLE: Shard = (0, 1)
FIELDS = ["rows", "families", "codes", "context", "lengths", "start", "size", "sets"]


@dataclass(frozen=True)
class PackShape:
    """Sub-columns of the rows in a pack, and of their context; used: the leading sub-columns that are wanted; sets:
    codes of the sets of each row, if these are wanted."""

    columns: int
    context: int
    used: int | None = None
    sets: int = 0


class PackFeed:
    """Endless shuffled batches of about `batch_rows` rows from the packs in the folder `path`.

    What is shuffled are packs, or parts of them where a batch holds fewer rows than PARTS packs would. The order
    depends on the seed alone. Close it (or use it as a context manager) to stop the reader's thread.
    shape: of the packs; shard: (k, n) for every n-th row group from the k-th on.
    """

    def __init__(self, path: str, shape: PackShape, batch_rows: int, seed: int, shard: Shard = WHOLE) -> None:
        self.shape, self.batch_rows = shape, batch_rows
        self.random = np.random.default_rng(seed + shard[0])
        self.reader = _reader(path, epochs=None, shard=shard)

    def __enter__(self) -> PackFeed:
        return self

    def __exit__(self, *exc: object) -> None:
        self.reader.stop()
        self.reader.join()

    def __iter__(self) -> Iterator[FamilyBatch]:
        yield from rebatched(self._shuffled(), self.batch_rows)

    def _shuffled(self) -> Iterator[FamilyBatch]:
        """Packs in random order: each goes out when a later one takes its place in the buffer."""
        buffer: list[FamilyBatch] = []
        for group in self.reader:
            packs = [p for whole in _packs(group, self.shape) for p in self._parts(whole)]
            size = min(BUFFER_PACKS, max(len(packs), len(buffer)))
            for i in self.random.permutation(len(packs)):
                if len(buffer) < size:
                    buffer.append(packs[i])
                    continue
                at = int(self.random.integers(len(buffer)))
                yield buffer[at]
                buffer[at] = packs[i]

    def _parts(self, pack: FamilyBatch) -> Iterator[FamilyBatch]:
        """The pack cut between families into parts of about a PARTS-th of a batch."""
        part = (torch.cumsum(pack.lengths, 0) - 1) // max(1, self.batch_rows // PARTS)
        sizes = torch.unique_consecutive(part, return_counts=True)[1].tolist()
        if len(sizes) == 1:
            yield pack
            return
        rows = [int(x.sum()) for x in torch.split(pack.lengths, sizes)]
        tensors = (pack.context, pack.lengths, pack.start, pack.size)
        parts = [torch.split(pack.codes, rows), *(torch.split(t, sizes) for t in tensors)]
        sets = torch.split(pack.sets, rows) if pack.sets is not None else [None] * len(sizes)
        for (codes, context, lengths, start, size), joined in zip(zip(*parts, strict=True), sets, strict=True):
            yield FamilyBatch(codes, context, lengths, start, size, joined)


def read_packs(path: str, shape: PackShape, max_rows: int) -> list[FamilyBatch]:
    """The first packs of a folder, up to about `max_rows` rows, in a fixed order: the held-out families."""
    out: list[FamilyBatch] = []
    rows = 0
    with _reader(path, epochs=1) as reader:
        for pack in (p for group in reader for p in _packs(group, shape)):
            if rows >= max_rows:
                break
            out.append(pack)
            rows += pack.rows
    return out


def packs_of(frame: pd.DataFrame, shape: PackShape) -> Iterator[FamilyBatch]:
    """The packs of a frame of their records, as Spark reads them."""
    return _packs(SimpleNamespace(**{f: frame[f].to_numpy() for f in FIELDS}), shape)


def row_groups(path: str) -> int:
    """How many row groups the packs in the folder `path` are written in: what shards are made of."""
    return sum(f.metadata.num_row_groups for f in dataset(path, format="parquet").get_fragments())


def shard_rows(path: str, shard: Shard) -> int:
    """Rows of the families in a shard, counted by reading it as training does."""
    with _reader(path, epochs=1, shard=shard, fields=["rows"]) as reader:
        return sum(int(group.rows.sum()) for group in reader)


def _reader(path: str, epochs: int | None, shard: Shard = WHOLE, fields: list[str] = FIELDS) -> Any:  # noqa: ANN401 - petastorm is untyped
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return make_batch_reader(
            path if "://" in path else f"file://{path}",
            schema_fields=fields,
            num_epochs=epochs,
            shuffle_row_groups=False,
            cur_shard=shard[0] if shard[1] > 1 else None,
            shard_count=shard[1] if shard[1] > 1 else None,
            reader_pool_type="thread",
            workers_count=1,  # more would race, and the order of batches would no longer follow from the seed
            results_queue_size=2,
        )


def _packs(group: Any, shape: PackShape) -> Iterator[FamilyBatch]:  # noqa: ANN401
    for i in range(len(group.rows)):
        families = int(group.families[i])
        yield FamilyBatch(
            codes=_tensor(group.codes[i], np.int16, (-1, shape.columns), shape.used),
            context=_tensor(group.context[i], np.int16, (families, shape.context)),
            lengths=_tensor(group.lengths[i], np.int32, (families,)),
            start=_tensor(group.start[i], np.int32, (families,)),
            size=_tensor(group.size[i], np.int32, (families,)),
            sets=_tensor(group.sets[i], np.int16, (-1, shape.sets)) if shape.sets else None,
        )


def _tensor(data: bytes, dtype: type, shape: tuple[int, ...], used: int | None = None) -> torch.Tensor:
    whole: np.ndarray = np.frombuffer(data, dtype=dtype).reshape(shape)
    return torch.from_numpy((whole if used is None else whole[:, :used]).astype(np.int64))
