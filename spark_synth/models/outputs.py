"""From a layer of each sub-column to the logits of its codes: output weights and biases by width, their loss, and the
direct paths by which summaries of a sub-column reach its layer. What every family shares that draws codes from logits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spark_synth.models.batch import ABSENT
from spark_synth.models.shared import CodeOutput, Features, places
from spark_synth.models.spec import GeneratorSpec

CARD_GROUPS = (8, 24, 72, 10**9)  # output layers are padded to the widest sub-column of their group only
IMPOSSIBLE = -1e4


def drawn_columns(spec: GeneratorSpec) -> list[int]:
    """Sub-columns that are neither fixed nor given."""
    return [j for j in range(spec.fixed, len(spec.cards)) if j not in spec.given]


def width_groups(spec: GeneratorSpec) -> list[list[int]]:
    """Drawn sub-columns by width of their output."""
    drawn = drawn_columns(spec)
    low, groups = 0, []
    for high in CARD_GROUPS:
        groups.append([j for j in drawn if low < spec.cards[j] <= high])
        low = high
    return [g for g in groups if g]


def code_outputs(spec: GeneratorSpec, groups: list[list[int]], features: Features) -> nn.ModuleList:
    """Output weights of each group, all zero at the start."""
    return nn.ModuleList([CodeOutput([features[j] for j in g], spec.head, _width(spec, g)) for g in groups])


def frequency_biases(spec: GeneratorSpec, groups: list[list[int]]) -> nn.ParameterList:
    """Output biases (G, 1, K) of each group: log frequencies, IMPOSSIBLE behind the last code of a sub-column."""
    biases = []
    for group in groups:
        bias = torch.full((len(group), 1, _width(spec, group)), IMPOSSIBLE)
        for i, j in enumerate(group):
            counts = torch.tensor(spec.frequencies[j], dtype=torch.float32)
            smoothed = counts + 0.05 * (counts > 0) + 1e-4
            bias[i, 0, : len(counts)] = torch.log(smoothed / smoothed.sum())
        biases.append(nn.Parameter(bias))
    return nn.ParameterList(biases)


def cross_entropies(groups: list[list[int]], logits: Iterable[Tensor], codes: Tensor) -> Tensor:
    """(C,): negative log likelihood of codes (N, C) summed over rows, per sub-column, by the logits (G, N, K) of each
    group; zero for sub-columns of no group and for absent codes."""
    losses = torch.zeros(codes.shape[1], device=codes.device)
    for columns, of_group in zip(groups, logits, strict=True):
        at = places(tuple(columns), losses.device)
        target = codes.index_select(1, at).T
        nll = F.cross_entropy(of_group.flatten(0, 1), target.reshape(-1), ignore_index=ABSENT, reduction="none")
        losses = losses.to(nll.dtype).index_add(0, at, nll.view(len(columns), -1).sum(1))
    return losses


def outputs_by_column(
    groups: list[list[int]], outputs: Iterable[nn.Module], biases: Iterable[Tensor]
) -> dict[int, tuple[Tensor, Tensor]]:
    """sub-column -> its output weights (head, K) and biases (K,), padded to the width of its group."""
    return {
        j: (weight[i], bias[i, 0])
        for group, weight, bias in zip(groups, [o() for o in outputs], biases, strict=True)
        for i, j in enumerate(group)
    }


def direct_paths(table: Tensor, index: Tensor, sources: Mapping[int, Sequence[int]]) -> dict[int, Tensor]:
    """sub-column -> (N, W): the sum of the rows of `table` (K, W) that its sources, columns of index (N, P), name."""
    return {
        j: F.embedding(index.index_select(1, places(tuple(at), index.device)), table).sum(1)
        for j, at in sources.items()
    }


def with_paths(hidden: Tensor, paths: Mapping[int, Tensor]) -> Tensor:
    """Layers (D, N, W) of sub-columns with what is said to some of them added: their place in D -> (N, W)."""
    if not paths:
        return hidden
    at = places(tuple(paths), hidden.device)
    return hidden.index_add(0, at, torch.stack(list(paths.values())).to(hidden.dtype))


def _width(spec: GeneratorSpec, group: list[int]) -> int:
    return max(spec.cards[j] for j in group)
