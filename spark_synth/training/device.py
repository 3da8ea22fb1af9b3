"""Where a task trains: on the GPU whose address Spark gave it, if any."""

from __future__ import annotations

import logging
import socket

import torch
from pyspark import TaskContext
from torch import Tensor

_LOG = logging.getLogger(__name__)


def own_gpu() -> str | None:
    """The address of the GPU that Spark's resource scheduling gave this task; None outside a task or without one.

    Several addresses mean `spark.task.resource.gpu.amount` above 1; a model trains on the first.
    """
    context = TaskContext.get()
    given = context.resources().get("gpu") if context else None
    return given.addresses[0] if given else None


def device_of(gpu: str | None) -> str:
    """The torch device of a GPU's address: the CPU where there is none, or where torch was built without CUDA."""
    if gpu is None:
        return "cpu"
    if not torch.cuda.is_available():
        _LOG.warning("Spark gave this task GPU %s, but torch finds no CUDA: it trains on the CPU", gpu)
        return "cpu"
    return f"cuda:{gpu}"


def place_of(gpu: str | None) -> str:
    """This host and the GPU of a task, in words."""
    return f"{socket.gethostname()}, {'CPU' if gpu is None else f'GPU {gpu}'}"


def random_state(device: str) -> Tensor:
    """uint8: the state of the random numbers that torch draws on a device."""
    return torch.cuda.get_rng_state(device) if device.startswith("cuda") else torch.get_rng_state()


def set_random_state(device: str, state: Tensor) -> None:
    """Go on with these random numbers."""
    own = state.clone()  # torch reads the state from where its memory begins
    if device.startswith("cuda"):
        torch.cuda.set_rng_state(own, device)
    else:
        torch.set_rng_state(own)
