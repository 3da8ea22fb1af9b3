"""Which family each table gets where that of the run cannot serve it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from spark_synth.config import RunConfig, load_config
from spark_synth.errors import UserError
from spark_synth.pipeline.families import with_families
from spark_synth.progress import Progress
from spark_synth.schema.model import ForeignKey
from tests.places import CONF

OWNERS = {"a": None, "b": ForeignKey(name="b.a", columns=("a",), parent="a", parent_columns=("id",))}


class Heard(Progress):
    """What was said."""

    def __init__(self) -> None:
        super().__init__(quiet=True)
        self.said: list[str] = []

    def note(self, text: str) -> None:
        self.said.append(text)


def settled(options: Sequence[str], rows: dict[str, int]) -> tuple[RunConfig, list[str]]:
    config = load_config(CONF, ["source.path=s", "schema=s", "output=o", *options])
    heard = Heard()
    return with_families(config, OWNERS, {}, rows, heard), heard.said


def test_where_the_family_of_the_run_cannot_serve_a_table_the_default_does() -> None:
    config, said = settled(["model.family=clustered", "tables.a.model.hidden=8"], {"a": 100, "b": 1000})
    assert (config.model_for("a").family, config.model_for("b").family) == ("autoregressive", "clustered")
    assert config.model_for("a").hidden == 8
    assert said == ["a: autoregressive, as clustered needs rows that own these, to cluster them, and there is no owner"]


def test_a_copula_serves_any_table_and_networks_need_rows() -> None:
    assert settled(["model.family=copula"], {"a": 3, "b": 3})[1] == []
    config, said = settled(["model.family=gan"], {"a": 3, "b": 40})
    assert (config.model_for("a").family, config.model_for("b").family) == ("autoregressive", "gan")
    assert said == ["a: autoregressive, as gan needs 40 rows at least, and there are 3"]


def test_what_is_asked_for_by_table_is_refused_in_one_line() -> None:
    with pytest.raises(UserError, match="^table a: model.family=clustered needs rows that own these.*; use auto"):
        settled(["tables.a.model.family=clustered"], {"a": 100, "b": 100})
    with pytest.raises(
        UserError, match="^table b: model.family=graph_vae needs 40 rows at least, and there are 9; use"
    ):
        settled(["tables.b.model.family=graph_vae"], {"a": 100, "b": 9})
