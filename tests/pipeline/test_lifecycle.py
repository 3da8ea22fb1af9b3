"""The life of a model: registered by training, promoted by its evaluation, generated from by name, loaded elsewhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

import pandas as pd
import pytest
from deltalake import DeltaTable
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.entities import LoggedModel
from packaging.requirements import Requirement

from spark_synth import pipeline
from spark_synth.cli import main
from spark_synth.errors import GateError, UserError
from spark_synth.pipeline.state import training_fingerprint
from spark_synth.pipeline.train import training_folder
from spark_synth.sampler import Sampler
from tests.pipeline.market import KEYS, QUICK, Market
from tests.places import CONF

pytestmark = [pytest.mark.slow, pytest.mark.e2e, pytest.mark.timeout(3000)]
MET, MISSED = "gates={summary/score: {min: 1}}", "gates={summary/score: {min: 101}, orders/rows: {max: 1}}"
ASKED = [
    {"table": "items", "rows": 4, "seed": 5},
    {"table": "countries", "rows": 3, "seed": 5},
    {"table": "products", "rows": 2, "seed": 5},
    {"table": "products", "rows": 2, "seed": 6},
]


def flags(market: Market, *more: str) -> list[str]:
    """The configuration of the market as flags of the command."""
    config = market.config(None)
    options = [f"source.path={config.source.path}", f"schema={config.schema_path}", f"output={config.output}"]
    options += ["model.hidden=32", "model.head=16", "model.max_bins=8", "train.max_epochs=8"]
    options += [f"{k.replace('__', '.')}={v}" for k, v in QUICK.items()]
    return ["--conf", str(CONF), *[x for o in (*options, *more) for x in ("--set", o)]]


@pytest.fixture(scope="module")
def client(market: Market) -> MlflowClient:
    return MlflowClient(str(market.config(None).tracking.uri))


def logged_model(client: MlflowClient) -> LoggedModel:
    """The model of the first version."""
    return client.get_logged_model(str(client.get_model_version("real", "1").source).removeprefix("models:/"))


def test_gates_decide_which_version_is_the_champion(
    market: Market, client: MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    market.finish("judged")
    assert main(["evaluate", "--identifier", "judged", *flags(market, MISSED)]) == 1
    lines = capsys.readouterr().err.splitlines()
    failed = [line for line in lines if line.startswith("error: ")]
    assert len(failed) == 2 and failed[0].startswith("error: gate failed: summary/score is ")
    folder = market.folder / "out" / "judged"
    score = json.loads((folder / "metrics.json").read_text())["summary"]["score"]
    assert (folder / "report" / "index.html").exists() and market.manifest("judged")["state"] == "evaluated"
    experiment = client.get_experiment_by_name("spark-synth/real")
    assert experiment is not None
    (logged,) = client.search_runs([experiment.experiment_id], "tags.stage = 'evaluate'")
    assert logged.data.metrics["gates/summary/score"] == 0 and logged.data.metrics["summary/score"] == score
    assert logged.data.params["config_hash"] and logged.data.params["git"]
    assert logged.inputs is not None
    assert {i.dataset.source_type for i in logged.inputs.dataset_inputs} == {"delta_table"}

    assert main(["promote", "--identifier", "judged", *flags(market, MISSED)]) == 1
    assert "not promoted: summary/score is " in capsys.readouterr().err
    assert main(["promote", "--identifier", "judged", *flags(market)]) == 2
    assert "option 'gates' is missing" in capsys.readouterr().err
    assert main(["promote", "--identifier", "judged", "--alias", "challenger", *flags(market, MET)]) == 0
    assert main(["promote", "--run", market.run_id, *flags(market, MET)]) == 0
    told = capsys.readouterr()
    assert told.out.splitlines()[-1] == "models:/real/1"
    assert "models:/real@champion is version 1 (the first one)" in told.err
    aliases = client.get_registered_model("real").aliases
    assert {alias: str(number) for alias, number in aliases.items()} == {"challenger": "1", "champion": "1"}


def test_a_registered_model_generates_what_its_run_does(market: Market, client: MlflowClient, tmp_path: Path) -> None:
    client.set_registered_model_alias("real", "champion", "1")
    market.finish("by_run")
    elsewhere = {"output": market.folder / "elsewhere", "tracking.uri": client.tracking_uri}
    folder = pipeline.generate(market.config("by_name", **elsewhere), model="models:/real@champion")
    assert json.loads((folder / "manifest.json").read_text())["model"] == "models:/real/1"
    for table, before in market.tables("by_run").items():
        now = DeltaTable(folder / "tables" / table).to_pandas().sort_values(KEYS[table], ignore_index=True)
        pd.testing.assert_frame_equal(before, now)
    other = tmp_path / "other.yaml"
    other.write_text(Path(market.config(None).schema_path).read_text().replace("segment: categorical, ", ""))
    with pytest.raises(UserError, match="trained on another schema: column customers.segment is in the model alone"):
        pipeline.generate(market.config("never", schema=other), model="models:/real@champion")
    with pytest.raises(UserError, match="'real' has no alias 'best'"):
        pipeline.generate(market.config("never"), model="models:/real@best")
    assert not (market.folder / "out" / "never").exists()


def test_runs_are_compared(market: Market, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    market.finish("left")
    market.finish("right")
    for name in ("left", "right"):
        pipeline.evaluate(market.config(name, **QUICK))
    assert main(["compare", "left", "right", *flags(market), "--out", str(tmp_path / "c.html")]) == 0
    assert "summary/score" in capsys.readouterr().out and "identifier" in (tmp_path / "c.html").read_text()
    assert main(["compare", "left", "nobody", *flags(market)]) == 2
    assert "MLflow run 'nobody' is not in this store" in capsys.readouterr().err


def test_gates_hold_when_a_finished_run_is_started_again(market: Market) -> None:
    market.finish("again")
    config = market.config("again", **QUICK)
    pipeline.evaluate(config)
    asked = market.manifest("again")["asked"]
    manifest = market.folder / "out" / "again" / "manifest.json"
    whole = json.loads(manifest.read_text())
    whole["asked"] = {**asked, "fingerprint": training_fingerprint(config)}
    manifest.write_text(json.dumps(whole))
    pipeline.run(config)
    with pytest.raises(GateError, match="summary/score is"):
        pipeline.run(market.config("again", **QUICK, **{"gates.summary/score.min": 101}))


def test_a_fresh_process_with_the_pinned_requirements_alone_draws_the_same(
    market: Market, client: MlflowClient, tmp_path: Path
) -> None:
    logged = logged_model(client)
    at = Path(download_artifacts(artifact_uri=logged.artifact_location, tracking_uri=client.tracking_uri))
    assert not [p for p in at.rglob("*") if p.suffix in (".pkl", ".pickle", ".pt", ".pth")]
    pins = [Requirement(line) for line in (at / "requirements.txt").read_text().splitlines()]
    assert all(str(pin.specifier) == f"=={distribution(pin.name).version}" for pin in pins)
    python = environment(tmp_path / "env", pins)
    one, two = (drawn(python, client.tracking_uri, tmp_path) for _ in range(2))
    assert one == two
    assert "/code/spark_synth/" in one["code"]  # that of the model
    rows = [json.loads(v) for v in one["values"]]
    assert [list(r) for r in rows[:7]] == [["order", "line", "sku", "quantity"]] * 4 + [["code", "title"]] * 3
    assert {r["code"] for r in rows[4:7]} <= {f"C{i}" for i in range(8)}
    assert rows[7:9] != rows[9:]  # of another seed


def test_what_a_sample_cannot_be_is_told(market: Market) -> None:
    sampler = Sampler(training_folder(market.config(None)) / "model")
    with pytest.raises(ValueError, match=r"no table 'nope' in this model \(tables: .*orders"):
        sampler.predict(pd.DataFrame([{"table": "nope", "rows": 1, "seed": 0}]))
    with pytest.raises(ValueError, match="1001 rows of orders: a sample has 1 to 1000 rows"):
        sampler.predict(pd.DataFrame([{"table": "orders", "rows": 1001, "seed": 0}]))


def environment(folder: Path, pins: list[Requirement]) -> Path:
    """The Python of a new environment that holds the pinned packages and what these need, linked from this one."""
    venv.create(folder, with_pip=False)
    (place,) = folder.glob("lib/python*/site-packages")
    seen: set[str] = set()

    def add(found: Distribution) -> None:
        if found.name.lower() in seen:
            return
        seen.add(found.name.lower())
        for top in {f.parts[0] for f in found.files or () if f.parts[0] != ".."}:
            link = place / top
            if not link.exists():
                link.symlink_to(Path(str(found.locate_file(top))))
        for need in map(Requirement, found.requires or ()):
            if need.marker is None or need.marker.evaluate({"extra": ""}):
                try:
                    add(distribution(need.name))
                except PackageNotFoundError:  # of another platform
                    continue

    for pin in pins:
        add(distribution(pin.name))
    return folder / "bin" / "python"


def drawn(python: Path, uri: str, folder: Path) -> dict[str, str]:
    """What the registered model draws in a process of that Python, and where its code was."""
    code = (
        "import json, mlflow, pandas as pd\n"
        f"mlflow.set_tracking_uri({uri!r})\n"
        "model = mlflow.pyfunc.load_model('models:/real/1')\n"
        f"found = model.predict(pd.DataFrame({ASKED!r}))\n"
        "import spark_synth\n"
        "print(json.dumps({'values': list(found['values']), 'code': spark_synth.__file__}))\n"
    )
    env = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "JAVA_HOME", "TMPDIR")}
    ran = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False, cwd=folder, env=env)
    assert ran.returncode == 0, ran.stderr[-3000:]
    found: dict[str, str] = json.loads(ran.stdout.splitlines()[-1])
    return found


def test_the_model_page_has_what_a_reader_needs(market: Market, client: MlflowClient) -> None:
    logged = logged_model(client)
    assert logged.source_run_id == market.run_id and logged.params["seed"] == "0"
    run = client.get_run(market.run_id)
    assert run.outputs is not None
    assert [o.model_id for o in run.outputs.model_outputs] == [logged.model_id]
    assert "system/cpu_utilization_percentage" in run.data.metrics
    assert {"config_hash", "schema_hash", "git", "seed", "versions.torch"} <= set(run.data.params)
    assert sys.version_info[:2] == (3, 11)
