"""Which training a database is generated from where none is named."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from spark_synth.config import load_config
from spark_synth.pipeline.train import training_folder
from spark_synth.pipeline.trained import latest_training
from tests.places import CONF


def test_the_training_of_the_configuration_comes_before_the_last_one(tmp_path: Path) -> None:
    config = load_config(CONF, [f"source.path={tmp_path}", f"output={tmp_path}"])
    trained = {training_folder(config).name: "own"}

    def find(tags: dict[str, str]) -> str | None:
        return trained.get(tags["fingerprint"]) if "fingerprint" in tags else "last"

    tracker: Any = SimpleNamespace(find=find)
    assert latest_training(config, tracker) == "own"
    trained.clear()
    assert latest_training(config, tracker) == "last"
