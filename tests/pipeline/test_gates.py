"""Gates: what is told of figures that do not meet them, and of figures that are not there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from spark_synth.cli import main
from spark_synth.config import Gate, load_config
from spark_synth.errors import GateError, RunError, UserError
from spark_synth.pipeline.compare import compared, to_html
from spark_synth.pipeline.gates import gate_figures, hold
from spark_synth.tracking import RunData
from tests.places import CONF


def metrics(*problems: str) -> dict[str, Any]:
    return {"summary": {"score": 61.25, "shapes": 0.8, "c2st": None}, "problems": list(problems), "tables": {}}


def test_figures_within_their_gates_are_let_through(tmp_path: Path) -> None:
    gates = {"summary/score": Gate(min=61.25), "summary/shapes": Gate(min=0.5, max=0.8)}
    hold(gates, metrics(), tmp_path)
    hold({}, metrics("orders: 12 rows where 30 are expected"), tmp_path)
    assert gate_figures(gates, metrics()) == {"gates/integrity": 1, "gates/summary/score": 1, "gates/summary/shapes": 1}


def test_every_failed_gate_is_a_line(tmp_path: Path) -> None:
    gates = {"summary/score": Gate(min=70), "summary/shapes": Gate(max=0.5), "summary/problems": Gate(max=0)}
    with pytest.raises(GateError) as failed:
        hold(gates, metrics(), tmp_path)
    report = f"(report: {tmp_path}/report/index.html)"
    assert failed.value.lines == [
        f"gate failed: summary/score is 61.25, at least 70 is asked for {report}",
        f"gate failed: summary/shapes is 0.8, at most 0.5 is asked for {report}",
    ]
    assert gate_figures(gates, metrics())["gates/summary/score"] == 0


def test_broken_keys_come_before_all_gates(tmp_path: Path) -> None:
    broken = metrics("orders: 3 orphan rows")
    with pytest.raises(RunError, match="integrity gate failed: orders: 3 orphan rows"):
        hold({"summary/score": Gate(min=70)}, broken, tmp_path)
    assert gate_figures({}, broken) == {"gates/integrity": 0}


def test_a_figure_that_is_not_there_names_near_ones(tmp_path: Path) -> None:
    with pytest.raises(UserError) as refused:
        hold({"summary/scores": Gate(min=1)}, metrics(), tmp_path)
    assert "'gates.summary/scores': the evaluation has no such figure; near it are summary/score" in str(refused.value)
    with pytest.raises(UserError, match="no such figure"):  # one that could not be measured
        hold({"summary/c2st": Gate(max=0.9)}, metrics(), tmp_path)


@pytest.mark.parametrize(
    ("option", "line"),
    [
        ("gates.summary/score.min=x", "option 'gates.summary/score.min': expected a number, got 'x'"),
        ("gates.summary/score.least=1", "unknown option 'gates.summary/score.least': known here: min, max"),
        ("gates.summary/score={}", "option 'gates.summary/score': needs min, max or both"),
        ("gates.summary/score={min: 2, max: 1}", "option 'gates.summary/score': min 2 is above max 1"),
        ("tracking.model=a/b", "option 'tracking.model': must be a name without '/', ':' and '@', got 'a/b'"),
    ],
)
def test_what_is_wrong_with_gates_is_told(capsys: pytest.CaptureFixture[str], option: str, line: str) -> None:
    assert main(["evaluate", "--conf", str(CONF), "--set", option]) == 2
    assert capsys.readouterr().err == f"error: {line}\n"


def test_the_model_is_named_after_the_database(tmp_path: Path) -> None:
    options = [f"source.path={tmp_path}/shop", "schema=s.yaml"]
    assert load_config(CONF, [*options, f"output={tmp_path}"]).tracking.model == "shop"
    assert load_config(CONF, [*options, "output=main.sales"]).tracking.model == "main.sales.shop"
    assert load_config(CONF, [*options, f"output={tmp_path}", "tracking.experiment=/a/b:c"]).tracking.model == "b_c"


def run(stage: str, params: dict[str, str], figures: dict[str, float]) -> RunData:
    return RunData(f"id-{stage}", stage, "FINISHED", 0, {"stage": stage}, params, figures)


def test_runs_are_shown_side_by_side() -> None:
    stories = [
        [
            run("train", {"model.family": "copula", "seed": "0"}, {"system/cpu": 3}),
            run(
                "evaluate",
                {},
                {"summary/score": 61.25, "summary/gap_ks": 0.1, "a/row_error": 0.2, "a/shape/<x>": 0.5, "a/rows": 12},
            ),
            run("evaluate", {}, {"privacy/nearness": 98, "targets/a.y/mc_auc": 0.02, "a/quality/alone": 90}),
        ],
        [
            run("train", {"model.family": "gan", "seed": "0"}, {}),
            run(
                "evaluate",
                {},
                {"summary/score": 70, "summary/gap_ks": 0.3, "a/row_error": 0.1, "a/shape/<x>": 0.5, "a/odd": 1},
            ),
            run("evaluate", {}, {"privacy/nearness": 91, "targets/a.y/mc_auc": 0.01, "a/quality/alone": 80}),
        ],
    ]
    found = compared(["one", "two"], stories)
    assert [(x.name, x.cells) for x in found.params] == [("model.family", ["copula", "gan"])]
    assert [(x.name, x.cells, set(x.best)) for x in found.figures] == [
        ("summary/gap_ks", ["0.1", "0.3"], {0}),
        ("summary/score", ["61.25", "70"], {1}),
        ("a/odd", ["-", "1"], set()),
        ("a/quality/alone", ["90", "80"], {0}),
        ("a/row_error", ["0.2", "0.1"], {1}),
        ("a/shape/<x>", ["0.5", "0.5"], set()),
        ("privacy/nearness", ["98", "91"], {0}),
        ("targets/a.y/mc_auc", ["0.02", "0.01"], {1}),
    ]
    page = to_html(found)
    assert "<td class=best>70</td>" in page and "a/shape/&lt;x&gt;" in page and "<x>" not in page
