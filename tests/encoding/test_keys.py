"""Synthetic keys: unique, in the form of the real ones, and never one of them."""

from __future__ import annotations

import re
import uuid
from itertools import product

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from spark_synth.encoding.bloom import AnyOf, Bloom, build_blooms
from spark_synth.encoding.keys import KeyPlan, fit_key, make_keys, used_up
from spark_synth.schema.check import UUID


def keys(plan: KeyPlan, count: int, real: Bloom | None = None, salt: str = "s") -> list:
    """All keys of a table of `count` rows."""
    index = np.arange(count)
    return make_keys(plan, index, index, count, salt, real).tolist()  # type: ignore[no-any-return]


def test_integers_go_on_where_the_real_ones_end() -> None:
    assert keys(KeyPlan("id", "integer", start=2**31 - 2), 4) == [2**31 - 2, 2**31 - 1, 2**31, 2**31 + 1]


def test_keys_of_orphans_follow_those_of_the_rows_and_pass_real_ones(spark: SparkSession) -> None:
    real = spark.range(601, 631).selectExpr("id", "concat('K', id) as text")
    words = build_blooms(real, {"id": 30, "text": 30})
    taken = {str(v) for r in real.collect() for v in r}
    for plan, column in (
        (KeyPlan("id", "integer", start=501), "id"),
        (KeyPlan("text", "pattern", charsets=["K"]), "text"),
    ):
        index = np.arange(130)
        rows = make_keys(plan, index[:100], index[:100], 130, "s", None).tolist()
        made = make_keys(plan, index[100:], index[100:], 130, "s", AnyOf([Bloom(words[column])])).tolist()
        assert len(set(rows + made)) == 130
        assert not {str(k) for k in made} & taken


@settings(deadline=None)
@given(
    plan=st.sampled_from(
        [
            KeyPlan("id", "integer", start=7),
            KeyPlan("id", "uuid"),
            KeyPlan("id", "pattern", charsets=["K", "0123456789"]),
        ]
    ),
    rows=st.lists(st.integers(1, 60), min_size=2, max_size=4),
    spare=st.integers(0, 5),
)
def test_keys_of_waves_never_meet(plan: KeyPlan, rows: list[int], spare: int) -> None:
    made: list[object] = []
    used = 0
    for wave, n in enumerate(rows):  # some keys are passed over, so that others are made in their stead
        index, count = np.arange(n + spare), n + spare
        made += make_keys(plan, index, index, count, f"s{wave}", EveryThird(), used).tolist()
        used += used_up([plan], n, count, spare=True)
    assert len(set(made)) == len(made)


def test_whole_numbers_of_waves_leave_no_gap() -> None:
    plan, index = KeyPlan("id", "integer", start=7), np.arange(3)
    used = used_up([plan], 3, 10, spare=False)
    assert make_keys(plan, index, index, 10, "s", None, used).tolist() == [10, 11, 12]


class EveryThird:
    """Takes a third of all keys for real ones."""

    def contains(self, values: np.ndarray) -> np.ndarray:
        return np.array([int.from_bytes(v.encode()[-2:], "big") % 3 == 0 for v in values], dtype=bool)


def test_positions_count_within_the_family() -> None:
    plan = KeyPlan("line", "position")
    made = make_keys(plan, np.array([7, 8, 9]), np.array([0, 1, 0]), 10, "s", None)
    assert made.tolist() == [1, 2, 1]


def test_uuids_are_well_formed_and_differ_by_salt() -> None:
    plan = KeyPlan("id", "uuid")
    made = keys(plan, 2000)
    assert len(set(made)) == 2000
    assert all(re.match(UUID, k) and uuid.UUID(k).version == 4 for k in made)
    assert not set(made) & set(keys(plan, 2000, salt="other"))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(["A", "-", "AB", "0123456789", "abc"]), max_size=4), st.integers(1, 400))
def test_patterns_are_unique_whatever_the_room(charsets: list[str], count: int) -> None:
    made = keys(KeyPlan("id", "pattern", charsets=charsets), count)
    assert len(set(made)) == count
    for key in made:
        assert all(c in allowed for c, allowed in zip(key, charsets, strict=False))


def test_a_row_has_one_key_whoever_asks() -> None:
    plan = KeyPlan("id", "pattern", charsets=["A", "0123456789", "0123456789"])
    whole = keys(plan, 300)
    part = make_keys(plan, np.arange(100, 200), np.zeros(100, dtype=int), 300, "s", None)
    assert part.tolist() == whole[100:200]


def test_forms_are_recognised(spark: SparkSession) -> None:
    rows = [
        (i, float(i), str(uuid.UUID(int=i)), f"N{i:04d}", ("ABC" if i % 2 else "ABD") + "-x" * (i == 7))
        for i in range(1, 40)
    ]
    df = spark.createDataFrame(rows, "`i d` int, dec double, u string, n string, c string")
    df = df.withColumn("dec", df.dec.cast("decimal(12,0)"))
    assert fit_key(df, "i d", "int") == KeyPlan("i d", "integer", start=40)
    assert fit_key(df, "dec", "decimal(12,0)").start == 40
    assert fit_key(df, "u", "string").how == "uuid"
    digits, capitals = "0123456789", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    assert fit_key(df, "n", "string").charsets == ["N", "0", "0", digits, digits]
    assert fit_key(df, "c", "string").charsets == ["A", "B", capitals]


def test_no_real_key_is_made_even_where_all_of_them_are_taken(spark: SparkSession) -> None:
    real = ["K" + "".join(d) for d in product("0123456789", repeat=2)]
    df = spark.createDataFrame([(k,) for k in real], "id string")
    plan, bloom = fit_key(df, "id", "string"), Bloom(build_blooms(df, {"id": len(real)})["id"])
    for count in (5, 250, 3000):
        index = np.arange(count)
        made = make_keys(plan, index, index, max(count, len(real)), "s", bloom).tolist()
        assert len(set(made)) == count
        assert not set(made) & set(real)
