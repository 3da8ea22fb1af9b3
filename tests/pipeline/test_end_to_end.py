"""The whole job on a small shop: once with everything, then generated again in other ways from the same training."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from spark_synth import pipeline
from spark_synth.cli import main
from spark_synth.config import RunConfig, load_config
from tests.places import CONF

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]

KEYS = {
    "countries": ["code"],
    "customers": ["id"],
    "products": ["sku"],
    "orders": ["id"],
    "items": ["order", "line"],
    "visits": ["customer", "day"],
    "staff": ["id"],
}
LINKS = [
    ("customers", "country", "countries", "code"),
    ("orders", "customer", "customers", "id"),
    ("items", "order", "orders", "id"),
    ("items", "sku", "products", "sku"),
    ("visits", "customer", "customers", "id"),
    ("staff", "boss", "staff", "id"),
]
SECRET = [("customers", "id"), ("customers", "name"), ("products", "sku"), ("orders", "id"), ("orders", "note")]
Tables = dict[str, pd.DataFrame]


class Result(NamedTuple):
    """The first run and how to make others like it."""

    config: Callable[..., RunConfig]
    folder: Path
    manifest: dict[str, Any]
    tables: Tables


def tables_of(folder: Path) -> Tables:
    """Every table as the independent reader sees it, in one order of rows."""
    return {t: ordered(DeltaTable(folder / "tables" / t).to_pandas(), t) for t in KEYS}


def ordered(table: pd.DataFrame, name: str) -> pd.DataFrame:
    return table.sort_values(KEYS[name], ignore_index=True)


def real_tables(shop: Path) -> Tables:
    parquet = {p.stem: pd.read_parquet(p) for p in shop.glob("*.parquet")}
    return parquet | {p.stem: pd.read_csv(p) for p in shop.glob("*.csv")}


def check_integrity(tables: Tables) -> None:
    for name, keys in KEYS.items():
        assert not tables[name].duplicated(keys).any() and not tables[name][keys].isna().any().any(), name
    for child, column, parent, key in LINKS:
        assert set(tables[child][column].dropna()) <= set(tables[parent][key]), (child, column)


def check_rows(tables: Tables, real: Tables, ratio: float, kept: set[str]) -> None:
    for name in KEYS:
        expected = len(real[name]) * (1 if name in kept else ratio)
        assert abs(len(tables[name]) - expected) <= max(1, 0.05 * expected), name


@pytest.fixture(scope="module")
def done(spark: SparkSession, shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Result:
    """Read, trained, generated with two partitions, evaluated."""
    output = tmp_path_factory.mktemp("out")

    def config(identifier: str, **changes: object) -> RunConfig:
        options = {
            "source.path": shop,
            "schema": shop / "schema.yaml",
            "output": output,
            "model.hidden": 32,
            "model.head": 16,
            "model.max_bins": 16,
            "model.segment_rows": 256,
            "train.max_epochs": 2,
            "generate.partitions": 2,
            "evaluate.sample_rows": 2000,
            "evaluate.detection_rows": 0,
            "evaluate.ceiling": False,  # test_bad_input has all three
            "evaluate.privacy_rows": 0,
            **{k.replace("__", "."): v for k, v in changes.items()},
        }
        return load_config(CONF, [f"{k}={v}" for k, v in options.items()], identifier=identifier)

    folder = pipeline.run(config("one"))
    manifest = json.loads((folder / "manifest.json").read_text())
    return Result(config, folder, manifest, tables_of(folder))


def test_the_manifest_metrics_and_report_are_there(done: Result) -> None:
    manifest = done.manifest
    assert (manifest["state"], manifest["asked"]["seed"], manifest["asked"]["ratio"]) == ("evaluated", 0, 1.0)
    assert {t: e["rows"] for t, e in manifest["tables"].items()} == {t: len(df) for t, df in done.tables.items()}
    assert all(e["state"] == "written" for e in manifest["tables"].values())
    assert [t for t, e in manifest["tables"].items() if e["kept"]] == ["countries"]
    metrics = json.loads((done.folder / "metrics.json").read_text())
    assert metrics["problems"] == manifest["problems"] == []
    assert 0 < metrics["summary"]["score"] <= 100
    report = (done.folder / "report" / "index.html").read_text()
    assert all(t in report for t in KEYS)


def test_keys_hold_and_rows_are_as_many(done: Result, shop: Path) -> None:
    check_integrity(done.tables)
    check_rows(done.tables, real_tables(shop), 1.0, {"countries"})


def test_columns_have_the_types_of_the_source(done: Result, shop: Path, spark: SparkSession) -> None:
    for path in shop.glob("*.parquet"):
        made = spark.read.format("delta").load(str(done.folder / "tables" / path.stem))
        assert made.dtypes == spark.read.parquet(str(path)).dtypes
    staff = spark.read.format("delta").load(str(done.folder / "tables" / "staff"))
    assert staff.dtypes == [("id", "int"), ("boss", "int"), ("salary", "int")]


def test_spark_and_delta_readers_agree(done: Result, spark: SparkSession) -> None:
    for name, table in done.tables.items():
        other = spark.read.format("delta").load(str(done.folder / "tables" / name)).toPandas()
        for column in other.select_dtypes("datetime").columns:
            other[column] = other[column].dt.tz_localize("UTC")
        pd.testing.assert_frame_equal(ordered(other, name), table, check_dtype=False, check_column_type=False)


def test_nothing_real_is_given_away(done: Result, shop: Path) -> None:
    real = real_tables(shop)
    for table, column in SECRET:
        assert not set(done.tables[table][column].dropna()) & set(real[table][column].dropna()), (table, column)
    assert not set(done.tables["staff"]["id"]) & set(real["staff"]["id"])
    assert "lost" not in set(done.tables["orders"]["state"])  # twice in 3,000 rows: too rare to show


def test_reference_tables_are_the_real_ones(done: Result, shop: Path) -> None:
    real = ordered(real_tables(shop)["countries"], "countries")
    pd.testing.assert_frame_equal(done.tables["countries"], real, check_dtype=False)


def test_values_keep_the_form_of_the_real_ones(done: Result, shop: Path) -> None:
    tables, real = done.tables, real_tables(shop)
    customers = tables["customers"]
    assert customers["fax"].isna().all() and (customers["plan"] == "basic").all()
    assert all(-v.as_tuple().exponent == 2 for v in customers["score"])
    assert customers["country"].isna().mean() == pytest.approx(real["customers"]["country"].isna().mean(), abs=0.05)
    orders = tables["orders"]
    assert orders["customer"].isna().mean() == pytest.approx(real["orders"]["customer"].isna().mean(), abs=0.02)
    assert orders["note"].isna().mean() == pytest.approx(0.75, abs=0.05)
    assert tables["items"]["sku"].isna().mean() == pytest.approx(0.02, abs=0.02)
    assert set(orders["id"]).isdisjoint(real["orders"]["id"]) and orders["id"].min() > 2**31
    assert customers["id"].str.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}").all()
    assert tables["products"]["sku"].str.match(r"P-[0-9]").all()


def test_no_family_is_cut(done: Result, shop: Path) -> None:
    degrees, real = (
        t["orders"]["customer"].value_counts().sort_values(ascending=False).to_numpy()
        for t in (done.tables, real_tables(shop))
    )
    assert degrees[0] >= 0.9 * real[0]
    assert len(degrees) == pytest.approx(len(real), rel=0.1)  # as many customers without an order
    lines = done.tables["items"].groupby("order")["line"]
    assert (lines.max() == lines.count()).all() and (lines.min() == 1).all()


def test_a_self_reference_has_no_cycle(done: Result) -> None:
    boss = done.tables["staff"].set_index("id")["boss"].dropna()
    assert 40 <= len(boss) < 60
    above = boss
    for _ in range(len(boss)):
        above = above[above.isin(boss.index)].map(boss)
    assert above.empty  # whoever goes up from anybody ends at one who has no boss


def test_a_second_run_has_nothing_to_do(done: Result) -> None:
    before = {p: p.stat().st_mtime_ns for p in done.folder.rglob("*") if p.is_file()}
    assert pipeline.run(done.config("one")) == done.folder
    assert before == {p: p.stat().st_mtime_ns for p in done.folder.rglob("*") if p.is_file()}


@pytest.mark.slow
@pytest.mark.parametrize("partitions", [1, 7])
def test_partitions_do_not_change_a_row(done: Result, partitions: int) -> None:
    config = done.config(f"cut{partitions}", generate__partitions=partitions)
    again = tables_of(pipeline.generate(config, done.manifest["run_id"]))
    for name, table in done.tables.items():
        pd.testing.assert_frame_equal(again[name], table)


@pytest.mark.slow
def test_a_huge_family_and_rows_without_an_owner_are_drawn_again(done: Result) -> None:
    """Those alone: nothing else changes, and no key."""
    config = done.config("cut7", generate__partitions=7)
    folder, before = pipeline.generate(config, done.manifest["run_id"]), done.tables
    busy = before["orders"]["customer"].value_counts().idxmax()
    pipeline.generate(config, table="customers", where=f"id = '{busy}'")
    after = tables_of(folder)
    check_integrity(after)
    orders = before["orders"][before["orders"]["customer"] == busy]
    assert len(orders) > 2000
    again = {"customers": {busy}, "orders": set(orders["id"]), "items": set(orders["id"]), "visits": {busy}}
    assert_others_stay(before, after, again)
    new = after["orders"][after["orders"]["customer"] == busy]
    assert new["id"].tolist() == orders["id"].tolist()
    assert (new["placed"].to_numpy() != orders["placed"].to_numpy()).mean() > 0.9
    of_busy = [t["items"][t["items"]["order"].isin(again["items"])]["sku"].value_counts() for t in (before, after)]
    assert sum(of_busy[0].sub(of_busy[1], fill_value=0).abs()) < 0.1 * len(orders)  # some lines have no product
    pipeline.generate(config, table="orders", where="customer IS NULL")
    last, lost = tables_of(folder), after["orders"]["customer"].isna()
    check_integrity(last)
    ids = set(after["orders"][lost]["id"])
    assert_others_stay(after, last, {"orders": ids, "items": ids})
    assert last["orders"]["customer"].equals(after["orders"]["customer"])
    assert (last["orders"]["placed"] != after["orders"]["placed"])[lost].mean() > 0.9


def assert_others_stay(before: Tables, after: Tables, again: dict[str, set[Any]]) -> None:
    """Rows whose first key is not among those that were drawn again."""
    for name, keys in KEYS.items():
        stays = [t[name][~t[name][keys[0]].isin(again.get(name, set()))] for t in (before, after)]
        pd.testing.assert_frame_equal(stays[0].reset_index(drop=True), stays[1].reset_index(drop=True))


@pytest.mark.slow
def test_half_of_it_with_a_preserved_table(done: Result, shop: Path) -> None:
    config = done.config("half", generate__ratio=0.5, generate__preserve_tables="[products]")
    half, real = tables_of(pipeline.generate(config, done.manifest["run_id"])), real_tables(shop)
    check_integrity(half)
    check_rows(half, real, 0.5, {"countries", "products"})
    pd.testing.assert_frame_equal(half["products"], ordered(real["products"], "products"), check_dtype=False)


@pytest.mark.slow
def test_three_times_of_it_with_another_seed(done: Result, shop: Path) -> None:
    config = done.config("triple", generate__ratio=3, seed=1)
    triple, real = tables_of(pipeline.generate(config, done.manifest["run_id"])), real_tables(shop)
    check_integrity(triple)
    check_rows(triple, real, 3, {"countries"})
    first, other = done.tables["customers"], triple["customers"]
    assert set(first["id"]).isdisjoint(other["id"])
    assert first["score"].tolist() != other["score"].head(len(first)).tolist()


def test_an_output_made_in_another_way_is_refused(
    done: Result, shop: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("do not touch")
    sets = {"source.path": shop, "schema": shop / "schema.yaml", "output": done.folder.parent, "seed": 9}
    for changes, part in (
        ({"generate.identifier": "one"}, "was made with another seed"),
        ({"output": tmp_path, "generate.identifier": "mine"}, "was not made by spark-synth"),
    ):
        flags = [x for k, v in {**sets, **changes}.items() for x in ("--set", f"{k}={v}")]
        assert main(["run", "--conf", str(CONF), *flags]) == 2
        err = capsys.readouterr().err
        assert part in err and err.count("\n") == 1
    assert [p.name for p in tmp_path.rglob("*")] == ["mine", "letter.txt"]


def test_a_schema_must_be_approved(shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    schema = tmp_path / "schema.yaml"
    schema.write_text((shop / "schema.yaml").read_text() + "approved: false\n")
    sets = {"source.path": shop, "schema": schema, "output": tmp_path / "out", "generate.identifier": "x"}
    flags = [x for k, v in sets.items() for x in ("--set", f"{k}={v}")]
    for command in ("run", "train"):
        assert main([command, "--conf", str(CONF), *flags]) == 2
        assert "is not approved" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
