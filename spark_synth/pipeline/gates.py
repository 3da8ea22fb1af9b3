"""What the figures of an evaluation must be: the integrity of every database, and the gates of the configuration."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from spark_synth.config import Gate
from spark_synth.errors import GateError, RunError, UserError
from spark_synth.evaluation import flatten

INTEGRITY = "gates/integrity"  # figure in MLflow: 1 where keys are sound
NEAR = 3  # names that are shown for one that is not there


def unsound(metrics: Mapping[str, Any]) -> str | None:
    """The first problem that no configuration allows: a key that repeats or leads nowhere."""
    return next((p for p in metrics.get("problems", []) if "orphan" in p or "duplicate" in p), None)


def failures(gates: Mapping[str, Gate], figures: Mapping[str, float]) -> list[str]:
    """One line for each gate that is not met; UserError for a gate on a figure that the evaluation does not have."""
    return [line for name, gate in gates.items() if (line := _failure(name, gate, _figure(name, figures)))]


def gate_figures(gates: Mapping[str, Gate], metrics: Mapping[str, Any]) -> dict[str, float]:
    """The gates as figures of their own: 1 where met, 0 where not; those on figures that are not there are left out."""
    figures = flatten(metrics)
    met = {f"gates/{n}": float(not _failure(n, g, figures[n])) for n, g in gates.items() if n in figures}
    return {INTEGRITY: float(unsound(metrics) is None), **met}


def hold(gates: Mapping[str, Gate], metrics: Mapping[str, Any], folder: Path) -> None:
    """RunError where the database in `folder` is unsound, GateError where gates are not met."""
    report = folder / "report" / "index.html"
    if problem := unsound(metrics):
        raise RunError(f"integrity gate failed: {problem} (report: {report})")
    if lines := failures(gates, flatten(metrics)):
        raise GateError([f"gate failed: {line} (report: {report})" for line in lines])


def read_metrics(folder: Path) -> dict[str, Any]:
    """What an earlier evaluation of the database in `folder` found."""
    try:
        found: dict[str, Any] = json.loads((folder / "metrics.json").read_text())
    except (OSError, ValueError) as error:
        raise RunError(f"{folder / 'metrics.json'} cannot be read ({error}): run `spark-synth evaluate`") from None
    return found


def _failure(name: str, gate: Gate, figure: float) -> str | None:
    if gate.min is not None and figure < gate.min:
        return f"{name} is {figure:.6g}, at least {gate.min:g} is asked for"
    if gate.max is not None and figure > gate.max:
        return f"{name} is {figure:.6g}, at most {gate.max:g} is asked for"
    return None


def _figure(name: str, figures: Mapping[str, float]) -> float:
    if name in figures:
        return figures[name]
    near = ", ".join(_near(name, list(figures)))
    raise UserError(f"option 'gates.{name}': the evaluation has no such figure; near it are {near or 'none'}")


def _near(name: str, known: Sequence[str]) -> list[str]:
    """The names most like this one, those of which it is a part before others."""
    holding = [k for k in known if name.lower() in k.lower()]
    return list(dict.fromkeys([*holding, *difflib.get_close_matches(name, known, NEAR, cutoff=0.3)]))[:NEAR]
