"""Output biases set so that the codes a trained network expects are as frequent as the real ones.

Maximum likelihood matches these by itself at its optimum; a small table stops long before it (early stopping), where
frequencies still lean to whatever the last steps saw. The weights, and with them the dependences, stay as they are.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from spark_synth.models.autoregressive import Autoregressive
from spark_synth.models.batch import ABSENT, FamilyBatch
from spark_synth.models.graph_vae import GraphVae
from spark_synth.models.outputs import IMPOSSIBLE

ROUNDS = 3
LARGEST = 1.0  # nats that one round may move a bias


@torch.no_grad()
def match_marginals(model: Autoregressive | GraphVae, batches: list[FamilyBatch]) -> None:
    """Shift the output biases in place towards the code frequencies of `batches`, given what is known there."""
    model.eval()
    for _ in range(ROUNDS if batches else 0):
        real = [b.new_zeros(len(b), b.shape[2]) for b in model.outer_bias]
        expected = [torch.zeros_like(r) for r in real]
        for batch in batches:
            for i, logits in enumerate(model.drawn_logits(batch)):
                present, codes = _present(batch, model.groups[i], logits.shape[2])
                real[i] += codes.sum(1)
                expected[i] += (torch.softmax(logits, 2) * present).sum(1)
        for bias, seen, hoped in zip(model.outer_bias, real, expected, strict=True):
            shift = torch.log((seen + 0.05) / (hoped + 0.05)).clamp(-LARGEST, LARGEST)
            bias += torch.where(bias > IMPOSSIBLE / 2, shift[:, None], 0.0)


def _present(batch: FamilyBatch, columns: list[int], width: int) -> tuple[Tensor, Tensor]:
    """(G, N, 1) where a sub-column applies, and (G, N, K) one-hot real codes (zero where it does not)."""
    codes = batch.codes[:, columns].T
    present = (codes != ABSENT)[..., None].float()
    return present, F.one_hot(codes.clamp(min=0), width).float() * present
