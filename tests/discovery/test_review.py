from __future__ import annotations

from pathlib import Path

import pytest

from spark_synth.errors import UserError
from spark_synth.pipeline.review import review_schema, terminal
from spark_synth.schema import Schema, load_schema, save_schema


@pytest.fixture
def schema() -> Schema:
    """One sure key, a doubtful primary key, and two doubtful foreign keys."""
    made = Schema(approved=False).add_table("a", "id").add_table("b", ["x", "y"])
    made.add_foreign_key("b.a", "a.id").add_foreign_key("b.c", "a.id")
    made.tables["a"].confidence, made.tables["b"].confidence = 1.0, 0.6
    made.tables["b"].evidence = "never repeats in 90 rows"
    for fk, sure in zip(made.tables["b"].foreign_keys, (0.5, 0.55), strict=True):
        fk.confidence = sure
    return made


def test_what_is_refused_goes_and_what_is_kept_is_sure(schema: Schema, tmp_path: Path) -> None:
    asked: list[str] = []
    answers = iter(["no", "what?", "Y", "n"])

    def ask(question: str) -> str:
        asked.append(question)
        return next(answers)

    assert review_schema(schema, ask) == 2
    assert asked[0].startswith("[1/3] b: does (a) lead to a (id)?") and asked[2] == "please answer y, n or q"
    assert asked[3] == "[3/3] b: is (x, y) the primary key? never repeats in 90 rows"
    table = schema.tables["b"]
    assert table.primary_key == () and [fk.columns for fk in table.foreign_keys] == [("c",)]
    assert table.foreign_keys[0].confidence == 1.0
    assert review_schema(schema, ask) == 0  # nothing is left to ask
    save_schema(schema, tmp_path / "s.yaml")
    assert load_schema(tmp_path / "s.yaml").tables["b"].primary_key == ()


def test_one_may_stop(schema: Schema) -> None:
    assert review_schema(schema, lambda _: "q") == 0
    assert schema.tables["b"].foreign_keys[0].confidence == 0.5


def test_without_a_terminal_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(_: str) -> str:
        raise EOFError

    monkeypatch.setattr("builtins.input", closed)
    with pytest.raises(UserError, match="--review asks on a terminal"):
        terminal("b?")
