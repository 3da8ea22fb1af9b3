"""What a configuration accepts, what it refuses and in which words."""

from __future__ import annotations

from pathlib import Path

import pytest

from spark_synth.config import RunConfig, load_config, to_yaml
from spark_synth.errors import UserError
from tests.places import REPOSITORY as ROOT

CONF = ROOT / "conf"
LOCAL = CONF / "local.yaml"


def refused(*overrides: str) -> str:
    with pytest.raises(UserError) as caught:
        load_config(LOCAL, overrides)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_template_shows_every_default() -> None:
    template = load_config(LOCAL)
    bare = RunConfig.model_validate({"source": {"path": "data"}, "schema": "data/metadata.json", "output": "out"})
    bare.tracking = template.tracking
    assert template.resolved() == bare.resolved()


def test_all_shipped_configurations_load() -> None:
    for path in CONF.glob("*.yaml"):
        if not path.name.endswith(".schema.yaml"):
            assert load_config(path).output


def test_overrides_that_a_template_run_needs() -> None:
    config = load_config(
        LOCAL,
        [
            "source.path=DIR",
            "schema=DIR/metadata.json",
            "output=OUT",
            "generate.identifier=20240101",
            "generate.ratio=0.5",
            "model.family=autoregressive",
            "seed=3",
            "train.max_minutes=1e-1",
            "generate.preserve_tables=[a, 007]",
            "spark.conf.spark.sql.shuffle.partitions=8",
        ],
    )
    assert (config.source.path, config.schema_path, config.output) == ("DIR", "DIR/metadata.json", "OUT")
    assert (config.generate.identifier, config.generate.ratio, config.seed) == ("20240101", 0.5, 3)
    assert (config.train.max_minutes, config.generate.preserve_tables) == (0.1, ["a", "007"])
    assert config.spark.conf == {"spark.sql.shuffle.partitions": "8"}
    assert config.tracking.uri == f"sqlite:///{Path.cwd()}/OUT/mlflow.db"
    assert config.tracking.experiment == "spark-synth/DIR"


def test_flags_come_after_overrides() -> None:
    config = load_config(LOCAL, ["generate.ratio=2"], ratio=0.25, preserve=["t1", "t2"], identifier="x")
    assert config.generate.model_dump() == {
        "ratio": 0.25,
        "identifier": "x",
        "preserve_tables": ["t1", "t2"],
        "given": {},
        "partitions": None,
    }


def test_a_table_changes_only_what_it_says() -> None:
    config = load_config(LOCAL, ["model.hidden=100", "tables.orders.model.dropout=0.3", "tables.orders.owner=customer"])
    assert (config.model_for("orders").hidden, config.model_for("orders").dropout) == (100, 0.3)
    assert config.model_for("other").dropout == 0.1
    assert config.resolved()["tables"] == {"orders": {"model": {"dropout": 0.3}, "owner": "customer"}}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("source.pth=x", "unknown option 'source.pth': did you mean 'source.path'?"),
        ("max_minutes=4", "unknown option 'max_minutes': did you mean 'train.max_minutes'?"),
        ("schema_path=x", "unknown option 'schema_path': did you mean 'schema'?"),
        ("tables.t.model.hiden=4", "unknown option 'tables.t.model.hiden': did you mean 'tables.t.model.hidden'?"),
        ("train.zzzz=1", "unknown option 'train.zzzz': known here: max_minutes, max_epochs, patience, "),
        ("train.max_minutes=abc", "option 'train.max_minutes': expected a number, got 'abc'"),
        ("train.max_epochs=2.5", "option 'train.max_epochs': expected a whole number, got '2.5'"),
        ("seed=true", "option 'seed': expected a whole number, got 'true'"),
        ("generate.ratio=0", "option 'generate.ratio': must be greater than 0, got '0'"),
        ("generate.preserve_tables=a", "option 'generate.preserve_tables': expected a list, got 'a'"),
        ("generate.identifier=../x", "option 'generate.identifier': must be a plain folder name"),
        (
            "model.family=foo",
            "option 'model.family': 'foo' is no model family (available: autoregressive, copula, graph_vae, gan, "
            "clustered)",
        ),
        ("source=abc", "option 'source': expected options, got 'abc'"),
        (
            "source.format=excel",
            "option 'source.format': must be 'auto', 'csv', 'json', 'parquet', 'delta' or 'sqlite'",
        ),
        ("output=null", "option 'output' is missing"),
        ("seed=${SPARK_SYNTH_NOT_SET}", "option 'seed': environment variable SPARK_SYNTH_NOT_SET is not set"),
        ("seed.a=1", "--set seed.a=1: option 'seed' holds a value, not options"),
        ("nonsense", "--set 'nonsense': write it as option=value"),
        ("source.path=[a", "--set source.path=[a: line 1: expected ',' or ']'"),
    ],
)
def test_refusals_name_the_option(override: str, message: str) -> None:
    assert refused(override).startswith(message)


def test_values_from_the_environment_are_used_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNTH_PASSWORD", "hunter22")
    monkeypatch.setenv("SYNTH_SEED", "7")
    config = load_config(
        LOCAL,
        [
            "source.path=jdbc://u:${SYNTH_PASSWORD}@host/db",
            "tracking.uri=http://u:plain@host",
            "spark.conf.spark.db.password=plain",
            "spark.conf.spark.note=again hunter22",
            "seed=${SYNTH_SEED}",
        ],
    )
    assert config.source.path == "jdbc://u:hunter22@host/db" and config.seed == 7
    shown = to_yaml(config.resolved())
    assert "hunter22" not in shown and "plain" not in shown
    assert "seed: ${SYNTH_SEED}" in shown and "jdbc://u:${SYNTH_PASSWORD}@host/db" in shown
    assert config.resolved()["train"]["patience"] == 6
    assert "hunter22" not in refused("generate.ratio=${SYNTH_PASSWORD}")


def test_a_missing_or_broken_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="configuration .*nope.yaml does not exist"):
        load_config(tmp_path / "nope.yaml")
    for text, message in [
        ("seed: 1\nseed: 2\n", "line 2: 'seed' is given twice"),
        ("source: [a\n", "line 2: expected"),
        ("just words\n", "expected options"),
        ("", "found nothing"),
        ("source: {path: a}\noutput: o\n", "option 'schema' is missing"),
        ("source: {path: a}\noutput: o\nschema: s\n1: 2\n", "unknown option '1'"),
    ]:
        (tmp_path / "bad.yaml").write_text(text)
        with pytest.raises(UserError, match=message):
            load_config(tmp_path / "bad.yaml")


def test_an_empty_section_has_its_defaults(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("source: {path: a}\nschema: s\noutput: o\ntables:\n  # orders: {}\ntrain:\n")
    assert load_config(tmp_path / "c.yaml").train.patience == 6


def test_output_may_name_a_catalog() -> None:
    config = load_config(LOCAL, ["output=main.synthetic"])
    assert config.output_is_catalog and config.tracking.uri is None
    assert not load_config(LOCAL, ["output=./main.synthetic"]).output_is_catalog
