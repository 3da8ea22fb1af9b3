"""The Spark profiles in conf: a reason beside each setting, and what training and generation must have."""

from __future__ import annotations

import pytest

from tests.places import REPOSITORY as ROOT

CONF = ROOT / "conf"
PLACES = ["standalone", "yarn", "kubernetes-gpu", "databricks-gpu"]
PROFILES = ["local", *PLACES, *(f"{p}-generation" for p in PLACES)]


def settings(profile: str) -> dict[str, str]:
    """The settings of a profile."""
    lines = (CONF / f"spark-{profile}.conf").read_text().splitlines()
    pairs = [line.split(None, 1) for line in lines if line and not line.startswith("#")]
    found = dict(pairs)
    assert len(found) == len(pairs), "a setting is there twice"
    return found


def test_no_profile_is_left_out() -> None:
    assert {p.stem.removeprefix("spark-") for p in CONF.glob("spark-*.conf")} == set(PROFILES)


@pytest.mark.parametrize("profile", PROFILES)
def test_every_group_of_settings_has_its_reason(profile: str) -> None:
    """A comment, then the settings that it gives reasons for, before the next comment or empty line."""
    reason = False
    for line in (CONF / f"spark-{profile}.conf").read_text().splitlines():
        if line and not line.startswith("#"):
            assert reason and line.startswith("spark."), line
        reason = bool(line)
    assert settings(profile)


@pytest.mark.parametrize("place", PLACES)
def test_training_keeps_its_executors_and_whole_gpus(place: str) -> None:
    found = settings(place)
    assert found.get("spark.dynamicAllocation.enabled", "false") == "false"
    assert found["spark.speculation"] == "false"
    assert found.get("spark.task.resource.gpu.amount", "1") == "1"


@pytest.mark.parametrize("place", PLACES)
def test_generation_shares_gpus_and_grows(place: str) -> None:
    found = settings(f"{place}-generation")
    assert place.endswith("-gpu") == ("spark.task.resource.gpu.amount" in found)
    assert float(found.get("spark.task.resource.gpu.amount", "0.5")) < 1
    if place != "databricks-gpu":  # where the number of workers is set with the cluster
        assert found["spark.dynamicAllocation.enabled"] == "true"
        tracked = "spark.dynamicAllocation.shuffleTracking.enabled", "spark.shuffle.service.enabled"
        assert "true" in [found.get(name) for name in tracked]


@pytest.mark.parametrize("profile", PROFILES)
def test_delta_is_given_where_it_is_not_on_board(profile: str) -> None:
    given = "spark.jars.packages" in settings(profile)
    assert given == (profile != "local" and not profile.startswith("databricks"))
