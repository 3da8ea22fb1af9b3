"""Checkpoints of one table's training: weights, best weights and optimizer state, safetensors plus a small JSON."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

STATE, BEST = "checkpoint", "best"


def save_checkpoint(
    folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer, best: dict[str, Tensor], state: dict[str, Any]
) -> None:
    """Write the state after an epoch. Each file appears whole or not at all; the JSON last, naming the epoch."""
    tensors = {f"model.{k}": v for k, v in model.state_dict().items()}
    for i, slots in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{i}.{k}": v if isinstance(v, Tensor) else torch.tensor(v) for k, v in slots.items()}
    tensors |= {f"best.{k}": v for k, v in best.items()}
    name = f"{STATE}-{state['epoch']}.safetensors"
    _replace(folder / name, lambda p: save_file({k: v.contiguous() for k, v in tensors.items()}, p))
    _replace(folder / f"{STATE}.json", lambda p: p.write_text(json.dumps({**state, "file": name})))
    for old in folder.glob(f"{STATE}-*.safetensors"):
        if old.name != name:
            old.unlink(missing_ok=True)


def load_checkpoint(
    folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer
) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Restore model and optimizer; (best weights, state), or None where there is no readable checkpoint."""
    try:
        state = json.loads((folder / f"{STATE}.json").read_text())
        tensors = load_file(folder / state["file"])
    except (OSError, ValueError, KeyError, SafetensorError):
        return None
    model.load_state_dict(_part(tensors, "model."))
    whole = optimizer.state_dict()
    for key, value in _part(tensors, "optimizer.").items():
        index, _, slot = key.partition(".")
        whole["state"].setdefault(int(index), {})[slot] = value
    optimizer.load_state_dict(whole)
    return _part(tensors, "best."), state


def save_weights(path: Path, weights: dict[str, Tensor]) -> None:
    """Final weights of a model."""
    _replace(path, lambda p: save_file({k: v.contiguous() for k, v in weights.items()}, p))


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _replace(path: Path, write: Any) -> None:  # noqa: ANN401 - any writer of one path
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    write(temporary)
    os.replace(temporary, path)
