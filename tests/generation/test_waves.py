"""What holds over all waves of a database: values that occur once, places below owners that are kept."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession

from spark_synth.encoding.edge_plan import LinkPlan, OwnerPlan
from spark_synth.encoding.keys import KeyPlan
from spark_synth.encoding.plan import TablePlan
from spark_synth.encoding.text import TextPlan
from spark_synth.errors import UserError
from spark_synth.generation.block import _position
from spark_synth.generation.run import Generation
from spark_synth.generation.waves import check_wave, may_repeat, with_own_texts, with_places, without_repeats

TEXT = {"a": "string", "b": "string"}
OF_ORDER = OwnerPlan("lines.order", ("order",), "orders", ("id",), 0, 64)


def plans() -> dict[str, TablePlan]:
    """countries (kept); pairs of these; offers of a country by a new shop; the lines of orders."""
    to_a, to_b = (LinkPlan(f"pairs.{c}", (c,), "countries", ("code",), True, False) for c in "ab")
    to_shop = LinkPlan("offers.b", ("b",), "shops", ("id",), False, False)
    return {
        "countries": TablePlan("countries", {"code": "string"}, 5, ["code"], reference=True),
        "shops": TablePlan("shops", {"id": "int"}, 5, ["id"], keys=[KeyPlan("id", "integer")]),
        "pairs": TablePlan("pairs", TEXT, 9, ["a", "b"], links=[to_a, to_b], unique=[["a", "b"]]),
        "offers": TablePlan("offers", TEXT, 9, ["a", "b"], links=[to_a, to_shop], unique=[["a", "b"]]),
        "orders": TablePlan("orders", {"id": "int"}, 5, ["id"], keys=[KeyPlan("id", "integer")]),
        "lines": TablePlan(
            "lines",
            {"order": "int", "line": "int"},
            9,
            ["order", "line"],
            owner=OF_ORDER,
            keys=[KeyPlan("line", "position")],
        ),
    }


@pytest.fixture
def run(spark: SparkSession) -> Generation:
    return Generation(spark, plans(), "", "", {"countries": ""}, 1.0, 5, 512, None)


def test_only_pairs_of_kept_rows_may_repeat(run: Generation) -> None:
    assert may_repeat(run) == {"pairs": [("a", "b")]}
    check_wave(run)
    assert may_repeat(replace(run, kept={"countries": "", "orders": ""})) == {
        "pairs": [("a", "b")],
        "lines": [("order", "line")],
    }


def test_repeated_rows_that_others_refer_to_are_refused(run: Generation) -> None:
    below = TablePlan("notes", TEXT, 3, owner=OwnerPlan("notes.a", ("a", "b"), "pairs", ("a", "b"), 0, 64))
    with pytest.raises(UserError, match=r"rows of pairs \(a, b\) could repeat those that are there, and notes refers"):
        check_wave(replace(run, plans={**run.plans, "notes": below}))


def test_what_is_there_is_left_out(run: Generation, spark: SparkSession) -> None:
    there = spark.createDataFrame([("x", "y"), ("x", None)], "a string, b string")
    rows = spark.createDataFrame([("x", "y"), ("y", "x"), ("x", None)], "a string, b string")
    left = without_repeats(replace(run, there=lambda t: there), "pairs", rows)
    assert sorted(map(tuple, left.collect()), key=str) == [("x", None), ("y", "x")]
    assert without_repeats(replace(run, there=lambda t: there), "offers", rows) is rows
    assert without_repeats(run, "pairs", rows) is rows


def test_places_below_a_kept_owner_go_on(run: Generation, spark: SparkSession) -> None:
    there = spark.createDataFrame([(1, 1), (1, 2), (2, 1)], "order int, line int")
    families = spark.createDataFrame([(0, "1"), (1, "2"), (2, "3")], "__idx bigint, o0 string")
    wave, lines = replace(run, there=lambda t: there), run.plans["lines"]
    kept = with_places(replace(wave, kept={"orders": ""}), lines, OF_ORDER, families)
    assert sorted(kept.collect()) == [(0, "1", 2), (1, "2", 1), (2, "3", None)]
    assert with_places(wave, lines, OF_ORDER, families) is families


def test_a_row_is_placed_after_those_of_earlier_waves() -> None:
    block = pd.DataFrame({"start": [0, 4], "__before": [2.0, np.nan]})
    family, inner = np.array([0, 0, 1]), np.array([0, 1, 0])
    assert _position(block, family, inner).tolist() == [2, 3, 4]
    assert _position(block[["start"]], family, inner).tolist() == [0, 1, 4]


def test_a_text_that_may_occur_once_is_made_another_one(run: Generation, spark: SparkSession) -> None:
    texts = [TextPlan("mail", None, unique=True), TextPlan("note", None)]
    people = TablePlan("people", {"id": "int", "mail": "string", "note": "string"}, 5, ["id"], texts=texts)
    columns = "id int, mail string, note string"
    there = spark.createDataFrame([(1, "ann@x.org", "hello"), (2, "Bo", "hello"), (3, None, "a")], columns)
    rows = spark.createDataFrame(
        [(4, "ann@x.org", "hello"), (5, "Bo", "a"), (6, "cy@x.org", "a"), (7, None, "a")], columns
    )
    wave = replace(run, plans={"people": people}, there=lambda t: there, used={"people": 40})
    made = with_own_texts(wave, "people", rows)
    assert made.columns == rows.columns
    assert sorted(map(tuple, made.collect())) == [
        (4, "ann.w40@x.org", "hello"),
        (5, "Bo w40", "a"),
        (6, "cy@x.org", "a"),
        (7, None, "a"),
    ]
    assert with_own_texts(run, "pairs", rows) is rows


def test_unique_texts_are_no_reason_to_refuse_a_wave(run: Generation) -> None:
    people = TablePlan("people", TEXT, 5, ["a"], unique=[["b"]], texts=[TextPlan("b", None, unique=True)])
    people.keys.append(KeyPlan("a", "uuid"))
    below = TablePlan("notes", TEXT, 3, owner=OwnerPlan("notes.a", ("a",), "people", ("a",), 0, 64))
    check_wave(replace(run, plans={"people": people, "notes": below}, kept={}))
