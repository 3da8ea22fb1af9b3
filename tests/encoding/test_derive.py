"""Rules found in small real frames, and relations that are none because a row or too little speaks for them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_synth.encoding.derive import find_rules
from spark_synth.schema.model import Column, ForeignKey, Table, parse_kind

ROWS = 400
Rules = dict[str, dict[str, Any]]


def columns(df: DataFrame, kinds: dict[str, str]) -> dict[str, Column]:
    types = dict(df.dtypes)
    return {c: parse_kind(k, "t", c).model_copy(update={"type": types[c]}) for c, k in kinds.items()}


def link(column: str, parent: str) -> ForeignKey:
    return ForeignKey(name=f"t.{column}", columns=(column,), parent=parent, parent_columns=("id",))


def rules_of(
    df: DataFrame,
    kinds: dict[str, str],
    keys: list[ForeignKey] | None = None,
    owner: ForeignKey | None = None,
    references: Collection[str] = (),
    primary_key: tuple[str, ...] = (),
) -> Rules:
    """Rules by column, in their order."""
    table = Table(columns=columns(df, kinds), primary_key=primary_key, foreign_keys=keys or [])
    found, _ = find_rules(df, table, owner, 7, references)
    assert len({r["column"] for r in found}) == len(found)
    return {r["column"]: r for r in found}


def applied(df: DataFrame, rules: Rules) -> pd.DataFrame:
    """The frame after its rules, applied as generation does; derived columns are blanked first."""
    types = dict(df.dtypes)
    for r in rules.values():
        if r["kind"] == "derived":
            df = df.withColumn(r["column"], F.lit(None).cast(types[r["column"]]))
    for r in rules.values():
        df = df.withColumn(r["column"], F.expr(r["sql"]).cast(types[r["column"]]))
    return df.toPandas()


def assert_reproduced(df: DataFrame, rules: Rules) -> None:
    pd.testing.assert_frame_equal(applied(df, rules), df.toPandas())


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(1)


def test_calendar_parts(spark: SparkSession, rng: np.random.Generator) -> None:
    day = pd.Series(pd.Timestamp("2014-01-01") + pd.to_timedelta(rng.integers(0, 700, ROWS), "D"))
    frame = pd.DataFrame({"the `day`.x": day.dt.date, "week.day": day.dt.dayofweek + 1, "month": day.dt.month})
    frame["day text"] = day.dt.day.astype(str)
    frame["sunday 0"] = (day.dt.dayofweek + 1) % 7
    frame["off"] = day.dt.year + (day.index == 3)
    df = spark.createDataFrame(frame)
    kinds = {"the `day`.x": "datetime", "week.day": "categorical", "month": "numeric"}
    found = rules_of(df, kinds | {"day text": "categorical", "sunday 0": "numeric", "off": "numeric"})
    assert {c: r["sql"] for c, r in found.items() if r["kind"] == "derived"} == {
        "week.day": "weekday(`the ``day``.x`) + 1",
        "month": "month(`the ``day``.x`)",
        "day text": "dayofmonth(`the ``day``.x`)",
        "sunday 0": "dayofweek(`the ``day``.x`) - 1",
    }
    assert_reproduced(df, found)


def test_local_hour_of_a_timestamp_in_utc(spark: SparkSession, rng: np.random.Generator) -> None:
    when = pd.Series(pd.Timestamp("2013-01-01") + pd.to_timedelta(rng.integers(0, 8760, ROWS), "h"))
    local = when.dt.tz_localize("UTC").dt.tz_convert("America/New_York")
    frame = pd.DataFrame({"at": when, "hour": local.dt.hour, "day": local.dt.day})
    df = spark.createDataFrame(frame)
    found = rules_of(df, {"at": "datetime", "hour": "numeric", "day": "numeric"})
    assert found["hour"]["sql"] == "hour(from_utc_timestamp(`at`, 'America/New_York'))"
    assert found["day"]["inputs"] == ["at"]
    assert_reproduced(df, found)


def test_sums(spark: SparkSession, rng: np.random.Generator) -> None:
    made, lost, hour, minute = (rng.integers(0, top, ROWS) for top in (40, 30, 24, 60))
    price = np.round(rng.gamma(2, 10, ROWS), 2)
    frame = pd.DataFrame({"made": made, "lost": lost, "total": made + lost, "hour": hour, "minute": minute})
    frame["clock"] = 100 * hour + minute
    frame["price"], frame["half"] = price, price * 0.5
    frame["wrong"] = 3 * made + hour + (np.arange(ROWS) == 5)
    text = spark.createDataFrame(frame)
    df = text.withColumn("lost", F.expr("IF(lost = 7, NULL, lost)")).withColumn("total", F.expr("made + lost"))
    found = rules_of(df, dict.fromkeys(frame.columns, "numeric"))
    derived = {c: r for c, r in found.items() if r["kind"] == "derived"}
    assert {c: set(r["inputs"]) for c, r in derived.items() if c != "half"} == {
        "total": {"made", "lost"},
        "clock": {"hour", "minute"},
        "price": {"half"},
    }
    assert not {c for r in found.values() if r["kind"] == "clip" for c in [r["column"], *r["inputs"]]} & set(derived)
    assert_reproduced(df.drop("price"), {c: r for c, r in derived.items() if c != "price"})


def test_parts_that_were_not_recorded(spark: SparkSession, rng: np.random.Generator) -> None:
    a, b = rng.integers(0, 20, (2, ROWS))
    frame = pd.DataFrame({"a": a, "b": b, "total": a + b})
    frame.loc[frame.index < 100, ["a", "b"]] = 0
    df = spark.createDataFrame(frame)
    found = rules_of(df, dict.fromkeys("ab", "numeric") | {"total": "numeric"})
    assert found["total"]["kind"] == "clip"
    assert_reproduced(df, found)
    drawn = spark.createDataFrame([(2, 3, 9), (0, 0, 9)], df.columns).select(
        *[F.col(c).cast("bigint") for c in df.columns]
    )
    assert applied(drawn, found)["total"].tolist() == [5, 9]


def test_times_of_day(spark: SparkSession, rng: np.random.Generator) -> None:
    start = rng.integers(0, 1440, 2000)
    delay = rng.integers(-30, 200, 2000)
    end = (start + delay - 1) % 1440 + 1  # midnight is 2400
    frame = pd.DataFrame({"sched.": start // 60 * 100 + start % 60, "delay": delay, "real": end // 60 * 100 + end % 60})
    frame.loc[0, "real"] = 1111
    gone = "delay % 17 = 0"
    df = spark.createDataFrame(frame)
    df = df.withColumn("real", F.expr(f"IF({gone}, NULL, `real`)")).withColumn(
        "delay", F.expr(f"IF({gone}, NULL, delay)")
    )
    kinds = dict.fromkeys(frame.columns, "numeric")
    found = rules_of(df, kinds)
    assert (found["real"]["kind"], found["real"]["inputs"]) == ("derived", ["sched.", "delay"])
    before, after = df.toPandas()["real"], applied(df, found)["real"]
    assert (before.fillna(-1) != after.fillna(-1)).sum() <= 1
    assert 2400 in set(after) and 0 not in set(after)
    some = df.withColumn("real", F.expr("IF(`sched.` % 50 = 0, 1234, `real`)"))
    assert "real" not in rules_of(some, kinds)


def test_what_others_determine(spark: SparkSession, rng: np.random.Generator) -> None:
    city = rng.integers(0, 6, ROWS)
    names = np.array(["it's", 'a\\b "c"', "x|y", "k\u00e4se", "`q`", "$1"])
    zones = np.array([1.5, 2.5, -3.0, 1.5, 2.5, 0.1])
    frame = pd.DataFrame({"city": names[city], "zone": zones[city], "noise": rng.integers(0, 5, ROWS)})
    frame["almost"] = frame["zone"].where(frame.index != 3, 9.0)
    df = spark.createDataFrame(frame).withColumn("city", F.expr("IF(city = '$1', NULL, city)"))
    kinds = {"city": "categorical", "zone": "numeric", "noise": "numeric", "almost": "numeric"}
    found = rules_of(df, kinds)
    assert {c: (r["kind"], r["inputs"]) for c, r in found.items()} == {"zone": ("derived", ["city"])}
    assert_reproduced(df, found)
    spark.conf.set("spark.sql.ansi.enabled", "true")
    try:
        unseen = df.limit(1).withColumn("city", F.lit("elsewhere"))
        assert applied(unseen, found)["zone"].isna().all()
    finally:
        spark.conf.unset("spark.sql.ansi.enabled")


def test_pairs_of_kept_keys_override_what_is_drawn(spark: SparkSession, rng: np.random.Generator) -> None:
    origin, dest = rng.integers(0, 3, ROWS), rng.integers(0, 12, ROWS)
    dest[0] = 99  # one row alone: its value is not kept
    distance = 100 + 37 * dest + (dest * 7 + origin * 13) % 29
    distance[0] = 4321
    frame = pd.DataFrame({"origin": origin.astype(str), "dest": dest.astype(str), "distance": distance})
    df = spark.createDataFrame(frame)
    kinds = {"origin": "key", "dest": "key", "distance": "numeric"}
    keys = [link("origin", "place"), link("dest", "place")]
    assert rules_of(df, kinds, keys) == {}  # keys that are made anew determine nothing
    found = rules_of(df, kinds, keys, references={"place"})
    assert (found["distance"]["kind"], set(found["distance"]["inputs"])) == ("clip", {"origin", "dest"})
    assert "4321" not in found["distance"]["sql"]
    assert_reproduced(df, found)
    nowhere = df.where("dest = '99'").withColumn("distance", F.lit(5).cast("bigint"))
    assert applied(nowhere, found)["distance"].tolist() == [5]


def test_bounds(spark: SparkSession, rng: np.random.Generator) -> None:
    open_ = rng.random(ROWS) < 0.8
    tried = rng.integers(0, 9, ROWS) * open_
    made = rng.binomial(tried, 0.6)
    sales = np.round(rng.gamma(3, 100, ROWS) * open_, 1)
    frame = pd.DataFrame({"made": made, "tried.": tried, "open": open_.astype(int).astype(str), "sales": sales})
    over = made.copy()
    over[int(np.argmax(tried))] = 10
    frame["over"] = over
    frame["up"] = open_
    df = spark.createDataFrame(frame)
    kinds = {"made": "numeric", "tried.": "numeric", "open": "categorical", "sales": "numeric"}
    found = rules_of(df.drop("up"), kinds)
    assert {r["kind"] for r in found.values()} == {"clip"}
    assert_reproduced(df.drop("over", "up"), found)
    order = list(found)
    assert order.index("tried.") < order.index("made")  # a bound is settled before what it bounds
    wild = df.select(
        *[
            F.lit(v).cast(t).alias(c)
            for c, v, t in (
                ("made", 9, "bigint"),
                ("tried.", 4, "bigint"),
                ("open", "0", "string"),
                ("sales", 3.5, "double"),
            )
        ]
    ).limit(1)
    assert applied(wild, found).iloc[0].tolist() == [0, 0, "0", 0.0]
    assert applied(wild.withColumn("open", F.lit("1")), found).iloc[0].tolist() == [4, 4, "1", 3.5]
    assert "`over` >" not in rules_of(df, {"over": "numeric", "tried.": "numeric"})["over"]["sql"]
    booleans = rules_of(df, {"up": "boolean", "sales": "numeric"})
    assert booleans["sales"]["inputs"] == ["up"]


def test_keys_texts_and_the_order_of_a_family_are_left_alone(spark: SparkSession, rng: np.random.Generator) -> None:
    year = rng.integers(1990, 2010, ROWS)
    frame = pd.DataFrame({"id": np.arange(ROWS), "boss": rng.integers(0, 9, ROWS), "year": year, "age": 2020 - year})
    frame["name"] = [f"n{y % 4}" for y in year]
    frame["twice"] = 2 * frame["id"]
    df = spark.createDataFrame(frame)
    owner = link("boss", "boss")
    kinds = {"id": "key", "boss": "key", "year": "numeric", "age": "numeric", "name": "text", "twice": "numeric"}
    found = rules_of(df, kinds, [owner], owner, primary_key=("id",))
    assert {c: r["inputs"] for c, r in found.items() if r["kind"] == "derived"} == {"age": ["year"]}
    assert_reproduced(df, found)


def test_too_little_evidence(spark: SparkSession) -> None:
    few = pd.DataFrame({"a": range(20), "b": range(0, 40, 2)})
    kinds = {"a": "numeric", "b": "numeric"}
    assert rules_of(spark.createDataFrame(few), kinds) == {}
    rare = pd.DataFrame({"a": [0] * 98 + [1, 2], "b": [0] * 98 + [3, 6]})
    assert rules_of(spark.createDataFrame(rare), kinds) == {}
    table = Table(columns=columns(spark.createDataFrame(few), kinds), reference=True)
    assert find_rules(spark.createDataFrame(few), table, None, 0) == ([], {})
