from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from spark_synth.encoding.edge_plan import OwnerPlan
from spark_synth.encoding.plan import TablePlan
from spark_synth.errors import UserError
from spark_synth.pipeline.evaluate import rows_told
from spark_synth.pipeline.state import Manifest, open_manifest


def test_threads_may_write_at_the_same_time(tmp_path: Path) -> None:
    manifest = open_manifest(tmp_path / "x", {"seed": 1})
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: manifest.table(f"t{i}", state="rows", rows=i), range(200)))
    found = json.loads(manifest.path.read_text())
    assert found["tables"] == {f"t{i}": {"state": "rows", "rows": i} for i in range(200)}
    assert [p.name for p in manifest.path.parent.iterdir()] == ["manifest.json"]


def test_the_same_request_goes_on_and_another_is_refused(tmp_path: Path) -> None:
    open_manifest(tmp_path / "x", {"seed": 1, "ratio": 1.0}).table("t", state="written")
    again = open_manifest(tmp_path / "x", {"seed": 1, "ratio": 1.0})
    assert again.state_of("t") == "written" and again.state_of("u") == "planned"
    assert Manifest.read(tmp_path / "x").data == again.data
    with pytest.raises(UserError, match="was made with another ratio"):
        open_manifest(tmp_path / "x", {"seed": 1, "ratio": 2.0})


def test_a_foreign_folder_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(UserError, match="was not made by spark-synth"):
        open_manifest(tmp_path, {})
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        open_manifest(tmp_path / "file" / "x", {})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "letter.txt"]


def test_nothing_is_written_before_the_run_begins(tmp_path: Path) -> None:
    manifest = open_manifest(tmp_path / "x", {"seed": 1})
    assert not list(tmp_path.iterdir())
    manifest.update(state="started")
    assert Manifest.read(tmp_path / "x").data["state"] == "started"


def test_an_attempt_without_tables_may_be_asked_for_in_another_way(tmp_path: Path) -> None:
    open_manifest(tmp_path / "x", {"seed": 1}).update(run_id="r")
    again = open_manifest(tmp_path / "x", {"seed": 2})
    assert again.data["asked"] == {"seed": 2} and "run_id" not in again.data


def test_the_ratio_does_not_tell_the_rows_of_given_tables_and_cut_waves(tmp_path: Path) -> None:
    owned = {t: OwnerPlan(f"{t}.x", ("x",), above, ("id",), 0, 64) for t, above in (("b", "a"), ("c", "b"), ("e", "d"))}
    plans = {t: TablePlan(t, {}, 9, owner=owned.get(t)) for t in "abcdef"}
    tables = {t: {"rows": n} for n, t in enumerate("abcdef")} | {"a": {"rows": 0, "given": "somewhere"}}
    waves = [{"tables": {}}, {"tables": {"f": {"rows": 1, "left_out": 2}, "d": {"rows": 1}}}]
    manifest = Manifest(tmp_path / "manifest.json", {"tables": tables, "waves": waves})
    assert rows_told(plans, manifest) == {"a": 0, "b": 1, "c": 2, "f": 5}
