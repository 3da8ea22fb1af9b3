"""Every refusal of the contract, through the command: exit code 2, one line that names the culprit, nothing left."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pyspark.sql import SparkSession

from spark_synth.cli import main
from tests.places import CONF

SCHEMA = """
tables:
  a:
    primary_key: [id]
    columns: {id: key, v: numeric, k: categorical, e: numeric}
  b:
    primary_key: [id]
    columns: {id: key, a: key, w: numeric}
    foreign_keys:
      - {columns: [a], parent: a}
"""

pytestmark = pytest.mark.usefixtures("spark")


def parents(**changes: Any) -> pd.DataFrame:  # noqa: ANN401
    return pd.DataFrame({"id": range(60), "v": [i * 1.5 for i in range(60)], "k": "x", "e": None}).assign(**changes)


def children(rows: int = 200, **changes: Any) -> pd.DataFrame:  # noqa: ANN401
    return pd.DataFrame({"id": range(rows), "a": [i % 60 for i in range(rows)], "w": range(rows)}).assign(**changes)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A sound database: a constant column, one that is all NULL."""
    source = tmp_path / "source"
    source.mkdir()
    parents().to_csv(source / "a.csv", index=False)
    children().to_csv(source / "b.csv", index=False)
    (source / "schema.yaml").write_text(SCHEMA)
    return source


def options(folder: Path, output: Path, *changes: str) -> list[str]:
    wanted = [f"source.path={folder}", f"schema={folder / 'schema.yaml'}", f"output={output}", "train.max_epochs=1"]
    wanted += ["model.hidden=16", "generate.identifier=x", *changes]
    return ["run", "--conf", str(CONF), *[part for w in wanted for part in ("--set", w)]]


def refusal(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> str:
    """The one line that a refused run says."""
    assert main(arguments) == 2
    lines = [x for x in capsys.readouterr().err.splitlines() if x.startswith("error")]
    assert len(lines) == 1
    return lines[0]


def replace(old: str, new: str) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        schema = folder / "schema.yaml"
        assert old in schema.read_text()
        schema.write_text(schema.read_text().replace(old, new))

    return spoil


def table(name: str, rows: pd.DataFrame) -> Callable[[Path], None]:
    return lambda folder: rows.to_csv(folder / f"{name}.csv", index=False)


def circle(folder: Path) -> None:
    replace("e: numeric}\n", "e: numeric, b: key}\n    foreign_keys:\n      - {columns: [b], parent: b}\n")(folder)
    table("a", parents(b=range(60)))(folder)


def orphans(folder: Path) -> None:
    replace("parent: a}", "parent: a, orphans: error}")(folder)
    table("b", children(a=range(200)))(folder)


def kept(folder: Path) -> None:
    replace("parent: a}", "parent: a, orphans: keep}")(folder)
    replace("columns: {id: key, v", "columns: {id: numeric, v")(folder)
    table("b", children(a=range(200)))(folder)


def two_owners(folder: Path) -> None:
    other = "      - {columns: [w], parent: a, owner: true}"
    replace("      - {columns: [a], parent: a}", "      - {columns: [a], parent: a, owner: true}\n" + other)(folder)


def other_order(folder: Path) -> None:
    replace("w: numeric", "w: numeric, v: numeric")(folder)
    replace("{columns: [a], parent: a}", "{columns: [v, id], parent: a, parent_columns: [id, v]}")(folder)


def repeated(folder: Path) -> None:
    replace("parent: a}", "parent: a, parent_columns: [e]}")(folder)
    table("a", parents(e=7))(folder)
    table("b", children(a=7))(folder)


@pytest.mark.parametrize(
    ("spoil", "parts"),
    [
        pytest.param(lambda d: (d / "b.csv").unlink(), ["b.csv", "no data"], id="missing file"),
        pytest.param(lambda d: (d / "schema.yaml").unlink(), ["schema.yaml"], id="missing schema"),
        pytest.param(lambda d: (d / "b.csv").write_text(""), ["b"], id="empty file"),
        pytest.param(lambda d: (d / "schema.yaml").write_text("tables: [a"), ["schema.yaml"], id="broken schema"),
        pytest.param(replace("w: numeric", "ww: numeric"), ["b", "ww"], id="unknown column"),
        pytest.param(lambda d: replace("\ntables", "\napproved: false\ntables")(d), ["approved"], id="unapproved"),
        pytest.param(table("a", parents(id=[1, 1, *range(2, 60)])), ["a", "id"], id="duplicate keys"),
        pytest.param(table("a", parents(id=[None, *range(1, 60)]).astype({"id": "Int64"})), ["a", "id"], id="no key"),
        pytest.param(table("a", parents(v="abc")), ["a", "v"], id="text in a number"),
        pytest.param(table("b", children(0)), ["b", "no rows"], id="no rows"),
        pytest.param(table("b", children(a=[f"k{i}" for i in range(200)])), ["b", "a"], id="foreign key type"),
        pytest.param(circle, ["a -> b -> a", "break_edges: [a.b]"], id="a cycle without NULLs"),
        pytest.param(two_owners, ["'b' names 2 owners", "keep owner: true on one"], id="two owners"),
        pytest.param(other_order, ["'b' lists (v, id) against (id, v) of a", "same order"], id="another order"),
        pytest.param(repeated, ["'a'", "(e) not unique"], id="a key that is not unique"),
        pytest.param(orphans, ["b", "a"], id="orphans"),
        pytest.param(kept, ["b.a", "140 orphans", "a.id", "kind key"], id="orphans whose keys cannot be made"),
    ],
)
def test_bad_data_is_refused(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], spoil: Callable[[Path], None], parts: list[str]
) -> None:
    spoil(folder)
    line = refusal(capsys, options(folder, tmp_path / "out"))
    assert all(p in line for p in parts), line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ("train.max_minute=3", "did you mean 'train.max_minutes'"),
        ("train.max_minutes=soon", "train.max_minutes"),
        ("generate.ratio=-1", "generate.ratio"),
        ("generate.identifier=a/b", "generate.identifier"),
        ("model.family=gann", "model.family"),
        ("tables.a.model.family=clustered", "table a: model.family=clustered needs rows that own these"),
        ("tables.c.model.family=gan", "option tables.c: no such table in the schema (a, b)"),
        ("break_edges=[b.x]", "break_edges: no foreign key 'b.x' (did you mean 'b.a'?)"),
        ("evaluate.queries=/nowhere", "no .sql file in /nowhere: put one query into each"),
        ("evaluate.targets=[b.nothing]", "target 'b.nothing' is no column of the schema: write it as table.column"),
        ("source.path=/nowhere", "/nowhere"),
        ("output=/proc/nothing", "/proc/nothing"),
    ],
)
def test_bad_options_are_refused(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: str, part: str
) -> None:
    assert part in refusal(capsys, options(folder, tmp_path / "out", change))
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.e2e
def test_an_output_that_exists_is_refused_or_resumed(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], spark: SparkSession
) -> None:
    output = tmp_path / "out"
    assert main(options(folder, output)) == 0  # a constant column and one that is all NULL are no mistake
    metrics = json.loads((output / "x" / "metrics.json").read_text())
    assert metrics["ceiling"]["tables"]["b"]["quality"]["individual"]["score"] and metrics["workload"]["score"] > 0
    assert metrics["privacy"]["tables"]["b"]["joined"]["score"] > 90 and metrics["privacy"]["level"]
    assert metrics["privacy"]["tables"]["a"]["alone"] is None  # one column that varies: no row is anybody's
    assert 0 <= metrics["tables"]["b"]["detection"]["alone"]["auc"] <= 1
    made = spark.read.format("delta").load(str(output / "x" / "tables" / "a"))
    assert made.where("e is not null or k <> 'x' or k is null").isEmpty()
    before = sorted(p for p in (output / "x").rglob("*"))
    assert "x" in refusal(capsys, options(folder, output, "seed=4"))
    assert main(options(folder, output)) == 0
    assert sorted(p for p in (output / "x").rglob("*")) == before
