"""Checkpoints of one table's training: tensors as safetensors, and a small JSON with their digest.

Every file appears whole or not at all, the JSON last, so that one which is there names tensors which are there. The
last two stay: where a disk has damaged the newest, training goes on from the one before.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from spark_synth.whole import write_json, write_whole

NAME = "checkpoint-"
KEPT = 2
CHUNK = 1 << 20  # bytes hashed at a time


@dataclass(frozen=True)
class Checkpoint:
    """Where a training stands after `step` steps: the best weights so far, the state of the random numbers (uint8), and
    what else the loop needs to go on (JSON-able)."""

    step: int
    best: dict[str, Tensor]
    random: Tensor
    state: dict[str, Any]


class Optimizing(Protocol):
    """What trains a model: an optimizer of torch, or what has its state in the same form."""

    def state_dict(self) -> dict[str, Any]:
        """With "state": tensors and numbers by name, for each parameter."""
        ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The inverse."""
        ...


def save_checkpoint(folder: Path, model: nn.Module, optimizer: Optimizing, found: Checkpoint) -> None:
    """Write where the training stands; older ones than the one before go."""
    tensors = {f"model.{k}": v for k, v in model.state_dict().items()}
    for i, slots in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{i}.{k}": v if isinstance(v, Tensor) else torch.tensor(v) for k, v in slots.items()}
    tensors |= {f"best.{k}": v for k, v in found.best.items()} | {"random": found.random}
    path = folder / f"{NAME}{found.step}.safetensors"
    save_weights(path, tensors)
    told = {"step": found.step, "digest": _digest(path), "state": found.state}
    write_json(path.with_suffix(".json"), told)
    for step in _steps(folder)[:-KEPT]:
        _remove(folder, step)


def load_checkpoint(
    folder: Path, model: nn.Module, optimizer: Optimizing, tell: Callable[[str], None]
) -> Checkpoint | None:
    """Restore model and optimizer from the newest checkpoint that is whole; None where there is none.

    tell: hears of damaged ones, which are removed. So is what a stopped writer left behind.
    """
    whole = {f"{NAME}{step}" for step in _steps(folder)}
    for left in [*folder.glob(f".{NAME}*.tmp"), *folder.glob(f"{NAME}*.safetensors")]:
        if left.stem not in whole:
            left.unlink(missing_ok=True)
    for step in reversed(_steps(folder)):
        try:
            told, tensors = _read(folder / f"{NAME}{step}.json")
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            tell(f"the checkpoint after step {step} cannot be read ({reason}), it is passed over")
            _remove(folder, step)
            continue
        model.load_state_dict(_part(tensors, "model."))
        slots: dict[int, dict[str, Tensor]] = {}
        for key, value in _part(tensors, "optimizer.").items():
            index, _, slot = key.partition(".")
            slots.setdefault(int(index), {})[slot] = value
        optimizer.load_state_dict({**optimizer.state_dict(), "state": slots})
        return Checkpoint(step, _part(tensors, "best."), tensors["random"].cpu(), told["state"])
    return None


def save_weights(path: Path, weights: dict[str, Tensor]) -> None:
    """Final weights of a model."""
    write_whole(path, lambda p: save_file({k: v.contiguous() for k, v in weights.items()}, p))


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The JSON of a checkpoint and its tensors; ValueError where they are not what was written."""
    told = json.loads(path.read_text())
    tensors = path.with_suffix(".safetensors")
    if _digest(tensors) != told["digest"]:
        raise ValueError(f"{tensors.name} is not what was written")
    return told, load_file(tensors)


def _remove(folder: Path, step: int) -> None:
    for kind in (".json", ".safetensors"):
        (folder / f"{NAME}{step}{kind}").unlink(missing_ok=True)


def _steps(folder: Path) -> list[int]:
    """The steps after which there are checkpoints, ascending."""
    return sorted(int(p.stem.removeprefix(NAME)) for p in folder.glob(f"{NAME}*.json"))


def _digest(path: Path) -> str:
    found = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            found.update(chunk)
    return found.hexdigest()


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
