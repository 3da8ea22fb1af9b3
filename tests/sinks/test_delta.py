from __future__ import annotations

from pathlib import Path

import pytest
from deltalake import DeltaTable as IndependentReader
from pyspark.sql import SparkSession

from spark_synth.errors import RunError, UserError
from spark_synth.sinks import read_delta, table_target, write_delta


def test_a_repeated_write_writes_nothing(spark: SparkSession, tmp_path: Path) -> None:
    target = str(tmp_path / "a folder" / "t")
    assert write_delta(spark.range(10).toDF("id"), target, "run-1.t", 1, expected=10) == 10
    assert write_delta(spark.range(99).toDF("id"), target, "run-1.t", 1) == 10
    assert read_delta(spark, target).count() == 10
    assert IndependentReader(target).to_pyarrow_table().num_rows == 10
    assert write_delta(spark.range(5).toDF("id"), target, "run-1.t", 2) == 5
    assert read_delta(spark, target).count() == 15


def test_wrong_count_is_a_failure_of_the_run(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="holds 3 rows of this run, 4 were"):
        write_delta(spark.range(3).toDF("id"), str(tmp_path / "t"), "it's", 1, expected=4)


def test_names_with_any_character(spark: SparkSession, tmp_path: Path) -> None:
    names = ["order id", "größe", "a.b", "Mixed", "x`y", "c,d"]
    frame = spark.range(2).selectExpr(*[f"id + {i} as `{n.replace('`', '``')}`" for i, n in enumerate(names)])
    write_delta(frame, str(tmp_path / "t"), "run", 1)
    again = read_delta(spark, str(tmp_path / "t"))
    assert again.columns == names
    assert sorted(map(tuple, again.collect())) == [(0, 1, 2, 3, 4, 5), (1, 2, 3, 4, 5, 6)]


def test_an_empty_table_is_a_table(spark: SparkSession, tmp_path: Path) -> None:
    assert write_delta(spark.range(0).toDF("id"), str(tmp_path / "t"), "run", 1) == 0
    assert read_delta(spark, str(tmp_path / "t")).columns == ["id"]


def test_catalog_table(spark: SparkSession) -> None:
    target = "spark_catalog.default.synth_catalog_table"
    spark.sql(f"DROP TABLE IF EXISTS {target}")
    assert write_delta(spark.range(4).toDF("id"), target, "run", 1) == 4
    assert write_delta(spark.range(4).toDF("id"), target, "run", 1) == 4
    assert read_delta(spark, target).count() == 4
    spark.sql(f"DROP TABLE {target}")


@pytest.mark.parametrize("target", ["folder", "spark_catalog.default.synth_replaced"])
def test_rows_are_replaced_once(spark: SparkSession, tmp_path: Path, target: str) -> None:
    target = str(tmp_path / "t") if target == "folder" else target
    for _ in range(2):
        assert write_delta(spark.range(4).toDF("an id"), target, "run", 1) == 4
    for rows in (3, 9):
        assert write_delta(spark.range(rows).toDF("an id"), target, "run", 2, replace=True) == 3
    assert sorted(r[0] for r in read_delta(spark, target).collect()) == [0, 1, 2]
    assert write_delta(spark.range(3, 5).toDF("an id"), target, "run", 3) == 2
    assert sorted(r[0] for r in read_delta(spark, target).collect()) == [0, 1, 2, 3, 4]
    if target.startswith("spark_catalog"):
        spark.sql(f"DROP TABLE {target}")


def test_what_is_no_delta_table_is_said_so(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a Delta table"):
        read_delta(spark, str(tmp_path))


def test_targets() -> None:
    assert table_target("/out/", "run", "order items") == "/out/run/tables/order items"
    assert table_target("main.synth", "run", "orders", "s_") == "main.synth.s_orders"
    assert table_target("main.synth", "run", "order items") == "main.synth.`order items`"
    assert table_target("./my.out", "run", "t") == "./my.out/run/tables/t"
    assert table_target("dbfs:/out", "run", "t") == "dbfs:/out/run/tables/t"
