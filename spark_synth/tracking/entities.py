"""What a tracking store has and says, in plain data."""

from __future__ import annotations

from dataclasses import dataclass

from spark_synth.errors import RunError

MODEL_TAG = "spark_synth.model_id"  # of a train run: its model


class StoreAway(Exception):
    """The tracking server does not answer, or answers that it cannot at the moment."""


class Refused(RunError):
    """The store answers, and takes no such thing."""


@dataclass(frozen=True)
class Version:
    """A version of a registered model. uri: as it was asked for; run_id: of its training."""

    name: str
    number: str
    run_id: str
    uri: str

    @property
    def exact_uri(self) -> str:
        """The address of this version, whatever aliases become of it."""
        return f"models:/{self.name}/{self.number}"


@dataclass(frozen=True)
class RunData:
    """A run as the store has it. began: milliseconds since 1970."""

    run_id: str
    name: str
    status: str
    began: int
    tags: dict[str, str]
    params: dict[str, str]
    metrics: dict[str, float]
