"""What bench/gpu.py measures with: families of a training run in memory, batches and blocks of them, and new rows."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from spark_synth.generation.masks import Room
from spark_synth.models.batch import ABSENT, FamilyBatch, concat
from spark_synth.models.network import GeneratorNetwork
from spark_synth.models.spec import GeneratorSpec

FIELDS = ["codes", "context", "lengths", "start", "size"]


class RealClock:
    """Implements models.base.Clock: rows get the computed sub-columns of real rows, so that these are as in reality."""

    def __init__(self, given: Tensor, lengths: Tensor) -> None:
        self.given, self.first = given.numpy(), (torch.cumsum(lengths, 0) - lengths).numpy()

    def advance(self, active: int, step: int, codes: np.ndarray) -> np.ndarray:
        """The given codes of the rows at this step."""
        found: np.ndarray = self.given[self.first[:active] + step]
        return found


def pack(spec: GeneratorSpec, packs: Path, data: Path) -> None:
    """Write the families of both splits as tensors of one file; needs Petastorm."""
    from spark_synth.feed import PackShape, read_packs

    tensors: dict[str, Tensor] = {}
    shape = PackShape(len(spec.cards), len(spec.context_cards))
    for split in ("train", "holdout"):
        whole = concat(read_packs(f"{packs}/split={split}", shape, sys.maxsize))
        tensors |= {f"{split}.{f}": getattr(whole, f).to(torch.int32) for f in FIELDS}
    save_file(tensors, data)


def load(data: Path, split: str, spec: GeneratorSpec) -> FamilyBatch:
    """All families of a split, with the sub-columns that the network has."""
    tensors = load_file(data)
    codes, *rest = (tensors[f"{split}.{f}"].long() for f in FIELDS)
    return FamilyBatch(codes[:, : len(spec.cards)].contiguous(), *rest)


def take(whole: FamilyBatch, families: Tensor) -> FamilyBatch:
    """These families, in this order."""
    first = (torch.cumsum(whole.lengths, 0) - whole.lengths)[families]
    lengths = whole.lengths[families]
    start = torch.repeat_interleave(first - (torch.cumsum(lengths, 0) - lengths), lengths)
    rows = start + torch.arange(len(start))
    return FamilyBatch(whole.codes[rows], whole.context[families], lengths, whole.start[families], whole.size[families])


def batches(whole: FamilyBatch, rows: int, count: int) -> list[FamilyBatch]:
    """`count` batches of whole families of about `rows` rows each, in random order."""
    random, out = torch.Generator().manual_seed(0), list[FamilyBatch]()
    while len(out) < count:
        order = torch.randperm(len(whole.lengths), generator=random)
        part = (torch.cumsum(whole.lengths[order], 0) - 1) // rows
        full = range(max(1, int(part[-1])))  # the last one has fewer rows
        out += [take(whole, order[part == i]) for i in full]
    return out[:count]


def longest_first(whole: FamilyBatch, families: int) -> FamilyBatch:
    """So many families, some of them several times."""
    chosen = torch.randint(len(whole.lengths), (families,), generator=torch.Generator().manual_seed(1))
    return take(whole, chosen[whole.lengths[chosen].argsort(descending=True, stable=True)])


def draw(model: GeneratorNetwork, block: FamilyBatch, device: str, seed: int, generator_on: str = "") -> Tensor:
    """Codes of new rows in the place of those of a block, on the CPU."""
    spec, on = model.spec, block.to(device)
    generator = torch.Generator(generator_on or device).manual_seed(seed)
    clock = RealClock(block.codes[:, spec.given], block.lengths) if spec.given else None
    room = Room(spec.room, (block.context != ABSENT).any(1).numpy()) if spec.room else None
    fixed = on.codes[:, : spec.fixed] if spec.fixed else None
    return model.sample(on.context, on.lengths, on.start, on.size, generator, clock, room, fixed).cpu()
