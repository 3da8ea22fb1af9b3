"""How many tasks draw the blocks of a table."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pyspark.sql import SparkSession

from spark_synth.generation.run import TASK_BLOCKS, TASKS_PER_SLOT, Generation, task_slots


@pytest.fixture
def run(spark: SparkSession) -> Generation:
    return Generation(spark, {}, "", "", {}, 1.0, 5, 512, None)


def tasks(run: Generation, blocks: int) -> int:
    cut = run.spark.range(blocks).selectExpr("id as block", "id as row")
    return run.per_block(
        cut, blocks, lambda frames: frames, {"block": "bigint", "row": "bigint"}
    ).rdd.getNumPartitions()


def test_tasks_are_some_for_every_slot_but_none_has_too_many_blocks(run: Generation) -> None:
    """A few blocks are a task each; many go to few tasks, as each has fixed costs; very many to more again."""
    some = TASKS_PER_SLOT * task_slots(run.spark)
    assert task_slots(run.spark) == run.spark.sparkContext.defaultParallelism
    assert tasks(run, 2) == 2
    assert tasks(run, some + 1) == some
    assert tasks(run, TASK_BLOCKS * some * 3) == 3 * some
    assert tasks(replace(run, partitions=3), some) == 3
