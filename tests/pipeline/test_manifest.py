from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from spark_synth.errors import UserError
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
