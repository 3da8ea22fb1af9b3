"""Keys and relationships of a made database of which nothing is declared."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession

from spark_synth.cli import main
from spark_synth.config import SourceSettings
from spark_synth.discovery import Proposal, propose
from spark_synth.discovery.profile import SAMPLE, look
from spark_synth.discovery.sketch import SIZE, among, sketch
from spark_synth.schema import load_schema
from spark_synth.schema.model import Kind
from spark_synth.sources import keys_of, list_tables, read_table
from tests.places import REPOSITORY as ROOT


def shop(folder: Path) -> None:
    """Customers, orders of theirs, lines of these in a table without a column of its own as key, products, employees
    who report to each other, and an extension of some products."""
    draw = np.random.default_rng(0)
    n, orders = 300, 900
    customers = pd.DataFrame({"id": range(1, n + 1), "e_mail": [f"a{i}@b.org" for i in range(n)]})
    customers["since"] = pd.to_datetime("2020-01-01") + pd.to_timedelta(draw.integers(0, 900, n), unit="D")
    customers["vip"] = draw.choice(["true", "false"], n)
    employees = pd.DataFrame({"employee_id": range(1, 41), "reports_to": [None, *draw.integers(1, 8, 39)]})
    employees["reports_to"] = employees["reports_to"].astype("Int64")
    products = pd.DataFrame({"sku": [f"P-{i:04d}" for i in range(120)], "price": draw.uniform(1, 9, 120).round(2)})
    order = pd.DataFrame({"order_no": range(1000, 1000 + orders), "customer_id": draw.integers(1, n + 1, orders)})
    order["employee_id"], order["stars"] = draw.integers(1, 41, orders), draw.integers(1, 6, orders)
    lines = pd.DataFrame(
        {"order_no": draw.integers(1000, 1000 + orders, 3000), "sku": draw.choice(products["sku"], 3000)}
    )
    lines = lines.drop_duplicates(ignore_index=True)
    lines["quantity"] = draw.integers(1, 30, len(lines))
    extra = pd.DataFrame({"sku": products["sku"][:50], "note": [f"kept cool at {i} degrees" for i in range(50)]})
    tables = {"customer": customers, "employee": employees, "product": products, "orders": order, "line": lines}
    for name, rows in (tables | {"product_note": extra}).items():
        rows.to_csv(folder / f"{name}.csv", index=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("shop")
    shop(made)
    return made


@pytest.fixture(scope="module")
def found(spark: SparkSession, folder: Path) -> Proposal:
    source = SourceSettings(path=str(folder))
    return propose(spark, {t: read_table(spark, source, t) for t in list_tables(spark, source)})


def test_primary_keys(found: Proposal) -> None:
    keys = {t: v.primary_key for t, v in found.schema.tables.items()}
    assert keys == {
        "customer": ("id",),
        "employee": ("employee_id",),
        "product": ("sku",),
        "orders": ("order_no",),
        "line": ("order_no", "sku"),
        "product_note": ("sku",),
    }


def test_foreign_keys(found: Proposal) -> None:
    links = {(t, fk.columns, fk.parent) for t, v in found.schema.tables.items() for fk in v.foreign_keys}
    assert links == {
        ("orders", ("customer_id",), "customer"),
        ("orders", ("employee_id",), "employee"),
        ("employee", ("reports_to",), "employee"),
        ("line", ("order_no",), "orders"),
        ("line", ("sku",), "product"),
        ("product_note", ("sku",), "product"),
    }


def test_evidence_tells_counts_and_no_value(found: Proposal) -> None:
    (key,) = [fk for fk in found.schema.tables["orders"].foreign_keys if fk.parent == "customer"]
    assert key.evidence is not None and key.evidence.startswith("all 900 values are in customer.id")
    assert key.confidence is not None and key.confidence > 0.7
    assert not found.schema.approved


def test_kinds(found: Proposal) -> None:
    customer, line = found.schema.tables["customer"].columns, found.schema.tables["line"].columns
    assert (customer["e_mail"].kind, customer["e_mail"].provider) == (Kind.PII, "email")
    assert customer["since"].kind is Kind.DATETIME and customer["vip"].kind is Kind.BOOLEAN
    assert line["quantity"].kind is Kind.NUMERIC and line["order_no"].kind is Kind.KEY
    assert found.schema.tables["orders"].columns["stars"].kind is Kind.CATEGORICAL


def test_what_is_seen_in_all_rows_overrules_the_sample(spark: SparkSession, tmp_path: Path) -> None:
    """One value among many that is no number makes a text of the column."""
    rows = SAMPLE * 4
    pd.DataFrame({"a": [*range(rows), "x1"], "b": [*range(rows), 0.5]}).to_csv(tmp_path / "t.csv", index=False)
    (a, b) = look("t", read_table(spark, SourceSettings(path=str(tmp_path)), "t"))
    assert str(a.holds) == "text" and a.rows == rows + 1
    assert a.distinct == pytest.approx(rows, rel=0.1) and str(b.holds) in ("text", "numbers")


def test_sketches_tell_what_share_is_among_others(spark: SparkSession, tmp_path: Path) -> None:
    n = 40 * SIZE
    pd.DataFrame({"a": range(n), "b": range(n // 2, n // 2 + n), "c": range(5 * n, 6 * n)}).to_csv(
        tmp_path / "t.csv", index=False
    )
    raw = read_table(spark, SourceSettings(path=str(tmp_path)), "t")
    columns = look("t", raw)
    a, b, c = sketch(raw, columns)
    assert all(0.5 * SIZE / 2 < len(s.hashes) < 2 * SIZE for s in (a, b, c))
    assert among(a, a) == 1.0 and among(a, c) == 0.0
    assert among(a, b) == pytest.approx(0.5, abs=0.1)


def test_declared_keys_are_taken_as_told(spark: SparkSession, tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE a (code TEXT PRIMARY KEY, n INT)")
        connection.execute("CREATE TABLE b (one INT, two INT, a TEXT REFERENCES a, PRIMARY KEY (two, one))")
        connection.executemany("INSERT INTO a VALUES (?, ?)", [(f"c{i}", i) for i in range(9)])
        connection.executemany("INSERT INTO b VALUES (?, ?, ?)", [(i, i % 3, f"c{i % 9}") for i in range(30)])
    source = SourceSettings(path=str(path))
    names = list_tables(spark, source)
    declared = keys_of(spark, source, names)
    tables = propose(spark, {t: read_table(spark, source, t) for t in names}, declared).schema.tables
    assert tables["a"].primary_key == ("code",) and tables["b"].primary_key == ("two", "one")
    (key,) = tables["b"].foreign_keys
    assert (key.columns, key.parent, key.parent_columns) == (("a",), "a", ("code",))
    assert key.evidence == "declared by the source" and key.confidence == 1.0


def test_discover_review_approve(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The commands as a user gives them."""
    schema = tmp_path / "schema.yaml"
    settings = [f"source.path={folder}", f"schema={schema}", f"output={tmp_path / 'out'}"]
    flags = ["--conf", str(ROOT / "conf" / "local.yaml"), *(x for s in settings for x in ("--set", s))]
    assert main(["discover", *flags]) == 0
    told = capsys.readouterr()
    assert told.out.splitlines()[-1] == str(schema)
    assert "customer (id)" in told.err
    page = schema.with_suffix(".html").read_text()
    assert "Proposed schema, not approved" in page and "P-0001" not in page and "a1@b.org" not in page
    assert not load_schema(schema).approved
    assert main(["train", *flags]) == 2
    assert "is not approved" in capsys.readouterr().err
    wrong = schema.read_text().replace(
        "columns: [customer_id]\n        parent: customer", "columns: [customer_id]\n        parent: nobody"
    )
    assert wrong != schema.read_text()
    (tmp_path / "wrong.yaml").write_text(wrong)
    assert main(["approve", str(tmp_path / "wrong.yaml"), *flags]) == 2
    assert "references unknown table 'nobody'" in capsys.readouterr().err
    assert main(["approve", str(schema), *flags]) == 0
    text = schema.read_text()
    assert load_schema(schema).approved and "approved: true" in text and "Proposed, not confirmed" not in text
    assert main(["discover", *flags]) == 2
    assert "is an approved schema and stays as it is" in capsys.readouterr().err
