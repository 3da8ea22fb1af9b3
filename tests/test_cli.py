"""Exit codes, the last line of stdout, the one line of stderr. The stages themselves are stand-ins here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import spark_synth
from spark_synth.cli import main
from spark_synth.config import RunConfig
from spark_synth.errors import GateError, RunError, UserError
from tests.places import REPOSITORY as ROOT

CONF = str(ROOT / "conf" / "local.yaml")
MORE = {"approve": ["s.yaml"], "export": ["--to", "x"]}  # what these ask for besides
COMMANDS = ["approve", "discover", "plan", "train", "generate", "evaluate", "promote", "export", "run"]


class Pipeline(ModuleType):
    """Notes what it was called with; raises `failure` where one is set."""

    def __init__(self) -> None:
        super().__init__("spark_synth.pipeline")
        self.calls: list[tuple[object, ...]] = []
        self.configs: list[RunConfig] = []
        self.failure: BaseException | None = None

    def _called(self, config: RunConfig, *rest: object) -> None:
        self.configs.append(config)
        self.calls.append(rest)
        if self.failure:
            raise self.failure

    def discover(self, config: RunConfig, out: Path | None, review: bool) -> Path:
        self._called(config, out, review)
        return Path("schema.yaml")

    def approve(self, config: RunConfig, schema: Path) -> Path:
        self._called(config, schema)
        return schema

    def plan(self, config: RunConfig, approve: bool) -> None:
        self._called(config, approve)

    def train(self, config: RunConfig, approve: bool) -> str:
        self._called(config, approve)
        return "0123abcd"

    def generate(
        self,
        config: RunConfig,
        run_id: str | None,
        append: bool,
        table: str | None,
        where: str | None,
        model: str | None,
    ) -> Path:
        self._called(config, run_id, append, table, where, model)
        return Path("out/x")

    def promote(self, config: RunConfig, run_id: str | None, alias: str) -> str:
        self._called(config, run_id, alias)
        return "models:/x/1"

    def compare(self, config: RunConfig, runs: list[str], out: Path | None) -> None:
        self._called(config, runs, out)

    def evaluate(self, config: RunConfig) -> Path:
        self._called(config)
        return Path("out/x")

    def export(
        self, config: RunConfig, to: str, prefix: str, replace: bool, namespace: str | None, ddl_only: bool
    ) -> None:
        self._called(config, to, prefix, replace, namespace, ddl_only)

    def run(self, config: RunConfig) -> Path:
        self._called(config)
        return Path("out/x")


@pytest.fixture
def pipeline(monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    stand_in = Pipeline()
    monkeypatch.setitem(sys.modules, "spark_synth.pipeline", stand_in)
    monkeypatch.setattr(spark_synth, "pipeline", stand_in, raising=False)
    return stand_in


@pytest.mark.parametrize(
    ("args", "last_line"),
    [
        (["train"], "0123abcd"),
        (["generate"], "out/x"),
        (["evaluate"], "out/x"),
        (["run"], "out/x"),
        (["discover"], "schema.yaml"),
        (["approve", "s.yaml"], "s.yaml"),
    ],
)
def test_last_line_of_stdout(
    pipeline: Pipeline, capsys: pytest.CaptureFixture[str], args: list[str], last_line: str
) -> None:
    assert main([*args, "--conf", CONF]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == last_line


def test_flags_reach_the_pipeline(pipeline: Pipeline) -> None:
    flags = ["--preserve", "a, b", "--identifier", "n", "--run", "r1", "--append", "--set", "seed=4"]
    flags += ["--given", "c=x/c.csv", "--given", "d=y=z", "--table", "t", "--where", "a > 1", "--model", "models:/n/1"]
    assert main(["generate", "--conf", CONF, *flags, "--set", "output=o"]) == 0
    config = pipeline.configs[0]
    assert (config.generate.preserve_tables, config.generate.identifier) == (["a", "b"], "n")
    assert config.generate.given == {"c": "x/c.csv", "d": "y=z"}
    assert (config.seed, config.output, pipeline.calls) == (4, "o", [("r1", True, "t", "a > 1", "models:/n/1")])
    assert main(["train", "--conf", CONF, "--approve"]) == 0
    assert main(["discover", "--conf", CONF, "--out", "s.yaml", "--review"]) == 0
    exported = ["--to", "x.db", "--prefix", "p_", "--replace", "--namespace", "n", "--ddl-only", "--identifier", "i"]
    assert main(["export", "--conf", CONF, *exported]) == 0
    assert pipeline.calls[1:] == [(True,), (Path("s.yaml"), True), ("x.db", "p_", True, "n", True)]
    assert pipeline.configs[-1].generate.identifier == "i"
    assert main(["promote", "--conf", CONF, "--run", "r1", "--alias", "challenger"]) == 0
    assert main(["compare", "r1", "n", "--conf", CONF, "--out", "c.html"]) == 0
    assert pipeline.calls[4:] == [("r1", "challenger"), (["r1", "n"], Path("c.html"))]
    assert main(["generate", "--conf", CONF, "--ratio", "0.5"]) == 0
    assert pipeline.configs[-1].generate.ratio == 0.5


def test_a_ratio_is_not_of_a_table(pipeline: Pipeline, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate", "--conf", CONF, "--ratio", "0.5", "--table", "orders"]) == 2
    assert (
        capsys.readouterr().err
        == "error: --table draws a table again as large as the database is: leave --ratio away\n"
    )
    assert not pipeline.calls


@pytest.mark.parametrize(
    ("failure", "code", "line"),
    [
        (UserError("table 't' has no rows"), 2, "error: table 't' has no rows"),
        (RunError("the store is\nlost"), 1, "error: the store is lost"),
        (GateError(["a is 1", "b is 2"]), 1, "error: a is 1\nerror: b is 2"),
        (ValueError("odd\nand more"), 1, "error: ValueError: odd (--debug shows the traceback)"),
        (KeyboardInterrupt(), 1, "error: interrupted"),
    ],
)
def test_a_failure_is_one_line(
    pipeline: Pipeline, capsys: pytest.CaptureFixture[str], failure: BaseException, code: int, line: str
) -> None:
    pipeline.failure = failure
    assert main(["run", "--conf", CONF]) == code
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", line + "\n")


def test_debug_adds_the_traceback(pipeline: Pipeline, capsys: pytest.CaptureFixture[str]) -> None:
    pipeline.failure = ValueError("odd")
    assert main(["run", "--conf", CONF, "--debug"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("Traceback") and err.endswith("error: ValueError: odd\n")


@pytest.mark.parametrize(
    ("args", "part"),
    [
        (["run"], "--conf"),
        (["bogus"], "bogus"),
        ([], "command"),
        (["run", "--conf", CONF, "--bogus"], "--bogus"),
        (["generate", "--conf", CONF, "--ratio", "x"], "--ratio"),
        (["run", "--conf", "nope.yaml"], "configuration nope.yaml does not exist"),
        (["run", "--conf", CONF, "--set", "trian.patience=3"], "unknown option 'trian'"),
        (["generate", "--conf", CONF, "--ratio", "-1"], "option 'generate.ratio': must be greater than 0"),
    ],
)
def test_usage_errors_exit_2_with_one_line(capsys: pytest.CaptureFixture[str], args: list[str], part: str) -> None:
    assert main(args) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.startswith("error: ")
    assert part in printed.err and printed.err.count("\n") == 1


def test_help_needs_neither_spark_nor_torch() -> None:
    code = "import sys, spark_synth.cli; print([m for m in ('pyspark', 'torch', 'mlflow') if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert found.stdout.strip() == "[]"
    for command in COMMANDS:
        assert main([command, "--help"]) == 0


@pytest.mark.parametrize("command", COMMANDS)
def test_job_scripts_take_the_same_flags(command: str) -> None:
    ran = subprocess.run(
        [sys.executable, f"jobs/{command}.py", "--conf", "nope.yaml", *MORE.get(command, [])],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
    )
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr == "error: configuration nope.yaml does not exist\n"
