from __future__ import annotations

import json
import webbrowser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import spark_synth
from spark_synth.api import Database, Report, Synthesizer
from spark_synth.config import RunConfig
from spark_synth.errors import UserError
from spark_synth.schema import Schema, load_schema, save_schema


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[str, RunConfig, tuple[Any, ...]]]:
    """What reaches the pipeline, which does nothing here."""
    seen: list[tuple[str, RunConfig, tuple[Any, ...]]] = []

    def stage(name: str, result: Any) -> Any:  # noqa: ANN401
        def called(config: RunConfig, *rest: Any) -> Any:  # noqa: ANN401
            seen.append((name, config, rest))
            return result

        return called

    folder = tmp_path / "out" / "one"
    results = {"train": "r1", "generate": folder, "evaluate": folder, "export": None, "discover": None}
    stand_in = SimpleNamespace(**{name: stage(name, result) for name, result in results.items()})
    monkeypatch.setattr(spark_synth, "pipeline", stand_in, raising=False)
    monkeypatch.setitem(__import__("sys").modules, "spark_synth.pipeline", stand_in)
    return seen


def _schema() -> Schema:
    return Schema().add_table("a", "id")


def test_the_walk_through_reaches_the_pipeline(
    calls: list[tuple[str, RunConfig, tuple[Any, ...]]], tmp_path: Path
) -> None:
    database = Database.from_url("postgresql://u@h/db", _schema(), namespace="n", sample=0.5)
    synthesizer = Synthesizer(output=str(tmp_path / "out"), family="copula", model={"hidden": 8}, seed=3)
    with pytest.raises(UserError, match="train on a database first"):
        synthesizer.train()
    synthesizer.train(database).generate(record_size_ratio=2, preserve_tables=["a"], identifier="one")
    synthesizer.save("x.db", prefix="p_", replace=True)
    names = [name for name, _, _ in calls]
    assert names == ["train", "generate", "export"]
    config = calls[1][1]
    assert (config.source.url, config.source.namespace, config.source.sample) == ("postgresql://u@h/db", "n", 0.5)
    assert (config.model.family, config.model.hidden, config.seed) == ("copula", 8, 3)
    size = config.generate
    assert (size.ratio, size.preserve_tables, size.identifier, calls[1][2][0]) == (2.0, ["a"], "one", "r1")
    assert calls[2][2] == ("x.db", "p_", True, None) and calls[2][1].generate.identifier == "one"
    assert load_schema(config.schema_path).tables.keys() == {"a"}


def test_a_folder_brings_its_schema(tmp_path: Path) -> None:
    assert Database.from_files(str(tmp_path)).schema is None
    save_schema(_schema(), tmp_path / "schema.yaml")
    assert Database.from_files(str(tmp_path)).schema == str(tmp_path / "schema.yaml")
    assert Database.from_delta(str(tmp_path)).format == "delta"


def test_nothing_is_exported_or_evaluated_before_it_is_generated(tmp_path: Path) -> None:
    synthesizer = Synthesizer(Database(str(tmp_path), _schema()), str(tmp_path))
    with pytest.raises(UserError, match="export: generate a database first"):
        synthesizer.export("x.db")
    with pytest.raises(UserError, match="evaluate: generate a database first"):
        _ = synthesizer.report


def test_keys_that_nobody_declared_are_not_taken_for_granted(
    calls: list[tuple[str, RunConfig, tuple[Any, ...]]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sure = 1.0

    def discover(config: RunConfig, out: Path | None) -> None:
        schema = _schema()
        schema.approved, schema.tables["a"].confidence = False, sure
        save_schema(schema, config.schema_path)

    monkeypatch.setattr(spark_synth.pipeline, "discover", discover)
    Synthesizer(Database(str(tmp_path)), str(tmp_path / "declared")).train()
    assert load_schema(calls[0][1].schema_path).approved
    sure = 0.99
    with pytest.raises(UserError, match=r"table a: not all keys are declared by the source: review .*proposed.yaml"):
        Synthesizer(Database(str(tmp_path)), str(tmp_path / "proposed")).train()


def test_a_report_outside_of_a_notebook_opens_in_the_browser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    (tmp_path / "metrics.json").write_text(json.dumps({"summary": {"score": 90.5}, "tables": {}, "problems": []}))
    report = Report(tmp_path / "report" / "index.html")
    report.show()
    assert opened == [report.path.as_uri()]
    assert report.scores["summary/score"] == 90.5
