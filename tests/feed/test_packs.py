"""What training is fed: every pack again and again, in an order that follows from the seed."""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from pyspark.sql import SparkSession

from spark_synth.encoding import encode
from spark_synth.feed import Ahead, PackFeed, PackShape, read_packs, row_groups, shard_rows
from spark_synth.models.batch import FamilyBatch

FAMILIES, LENGTH, COLUMNS, CONTEXT, SETS = 8000, 3, 2, 1, 4
TRAIN = FAMILIES * 9 // 10


@pytest.fixture(scope="module")
def packs(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> str:
    """8,000 families of 3 rows in 4 files; the last tenth is held out. The context is the family's number."""
    df = spark.range(FAMILIES).selectExpr(
        "xxhash64(id) as bucket",
        f"id >= {TRAIN} as __holdout",
        "transform(sequence(0, 5), i -> cast(id % 7 + i % 2 as smallint)) as codes",
        "array(cast(id as smallint)) as context",
        f"{LENGTH} as length",
        "0 as start",
        f"{LENGTH} as size",
        f"array_repeat(cast(id % 1000 as smallint), {LENGTH * SETS}) as sets",
    )
    path = str(tmp_path_factory.mktemp("packs"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encode, "BUCKET_ROWS", FAMILIES * LENGTH // 4)
        encode.write_packs(df, FAMILIES * LENGTH, path)
    return path


def families(batch: FamilyBatch) -> list[int]:
    """The families of a batch, after a look at its shape."""
    assert batch.codes.shape == (batch.rows, COLUMNS) and batch.codes.dtype == torch.int64
    assert (batch.lengths == LENGTH).all() and (batch.size == LENGTH).all() and not batch.start.any()
    own = batch.context[:, 0]
    assert batch.sets is not None and torch.equal(batch.sets, (own % 1000)[batch.family(), None].expand(-1, SETS))
    assert torch.equal(batch.codes[:, 0], (own % 7)[batch.family()])
    return own.tolist()


def drawn(path: str, seed: int, epochs: float) -> list[list[int]]:
    """The families of the first batches of a feed: those of about so many epochs."""
    out: list[list[int]] = []
    with PackFeed(f"{path}/split=train", PackShape(COLUMNS, CONTEXT, sets=SETS), batch_rows=1000, seed=seed) as feed:
        for batch in feed:
            out.append(families(batch))
            if sum(map(len, out)) >= epochs * TRAIN:
                return out
    raise AssertionError("the feed ended")


def test_row_groups_are_even(packs: str) -> None:
    files = sorted(Path(packs, "split=train").glob("*.parquet"))
    rows = [sum(pq.read_table(f, columns=["rows"])["rows"].to_pylist()) for f in files]
    assert len(rows) == 4 and sum(rows) == TRAIN * LENGTH
    assert max(rows) < 1.2 * min(rows)
    assert all(pq.ParquetFile(f).num_row_groups == 1 for f in files)


def test_the_training_side_comes_round_evenly(packs: str) -> None:
    seen = Counter(f for batch in drawn(packs, 1, 10) for f in batch)
    assert set(seen) == set(range(TRAIN))  # all of it, and nothing of the holdout
    assert min(seen.values()) >= 8 and max(seen.values()) <= 12


def test_the_order_follows_from_the_seed(packs: str) -> None:
    first, again, other = (drawn(packs, seed, 4) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert Counter(first[0]) != Counter(other[0])


def test_epochs_differ(packs: str) -> None:
    batches = drawn(packs, 1, 3)
    third = len(batches) // 3
    assert batches[:third] != batches[third : 2 * third]


def test_batches_have_the_rows_asked_for(packs: str) -> None:
    assert all(1000 <= len(b) * LENGTH < 1000 + encode.PACK_ROWS for b in drawn(packs, 3, 1))


def test_the_holdout_is_read_in_one_order(packs: str) -> None:
    folder = f"{packs}/split=holdout"
    whole = [f for p in read_packs(folder, PackShape(COLUMNS, CONTEXT, sets=SETS), 10**9) for f in families(p)]
    assert sorted(whole) == list(range(TRAIN, FAMILIES))
    assert whole == [f for p in read_packs(folder, PackShape(COLUMNS, CONTEXT, sets=SETS), 10**9) for f in families(p)]
    some = [f for p in read_packs(folder, PackShape(COLUMNS, CONTEXT, sets=SETS), 600) for f in families(p)]
    assert 600 <= len(some) * LENGTH < 600 + encode.PACK_ROWS and some == whole[: len(some)]


def test_small_batches_are_parts_of_packs(packs: str) -> None:
    with PackFeed(f"{packs}/split=train", PackShape(COLUMNS, CONTEXT, sets=SETS), batch_rows=90, seed=1) as feed:
        batches = [families(batch) for batch, _ in zip(feed, range(400), strict=False)]
    assert all(90 <= len(b) * LENGTH < 90 + 2 * 90 / 8 + LENGTH for b in batches)
    assert len({f for b in batches[:80] for f in b}) == sum(map(len, batches[:80]))  # none twice in an epoch


def test_shards_are_disjoint_and_cover_all_rows(spark: SparkSession, tmp_path: Path) -> None:
    """Families of one row, whose code is their number, in four row groups for two processes."""
    numbered = spark.range(FAMILIES).selectExpr(
        "hash(id) as bucket",
        "false as __holdout",
        "array(cast(id as smallint)) as codes",
        "cast(array() as array<smallint>) as context",
        "1 as length",
        "0 as start",
        "1 as size",
        "cast(array() as array<smallint>) as sets",
    )
    encode.write_packs(numbered, 3 * encode.BUCKET_ROWS, str(tmp_path), shards=2)
    path = f"{tmp_path}/split=train"
    assert row_groups(path) == 4
    seen: list[set[int]] = []
    for shard in ((0, 2), (1, 2)):
        rows = shard_rows(path, shard)
        with PackFeed(path, PackShape(1, 0), batch_rows=50, seed=1, shard=shard) as feed:
            batches = itertools.islice(feed, 3 * rows // 50)
            seen.append({int(c) for batch in batches for c in batch.codes[:, 0]})
        assert len(seen[-1]) == rows
    assert not seen[0] & seen[1] and seen[0] | seen[1] == set(range(FAMILIES))


def test_batches_made_ahead_are_the_same(packs: str) -> None:
    def batches(seed: int) -> PackFeed:
        return PackFeed(f"{packs}/split=train", PackShape(COLUMNS, CONTEXT, sets=SETS), batch_rows=90, seed=seed)

    with batches(1) as one, batches(1) as two, Ahead(iter(two), pinned=False) as ready:
        for a, b in itertools.islice(zip(one, ready, strict=True), 20):
            assert torch.equal(a.codes, b.codes) and torch.equal(a.lengths, b.lengths)
    assert not [t for t in threading.enumerate() if "_fill" in t.name]


def test_what_fails_ahead_is_told() -> None:
    def broken() -> Iterator[FamilyBatch]:
        raise ValueError("no rows")
        yield

    with Ahead(broken(), pinned=False) as ready, pytest.raises(ValueError, match="no rows"):
        next(ready)
