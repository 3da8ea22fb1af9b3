"""The running sums of the autoregressive network as one differentiable step.

Written out with cumsum, relu and an embedding look-up, training spends most of its time moving (C, N, H) arrays
through memory; here each (N, H) slice is gathered, added and rectified while it is in cache.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class RunningSum(torch.autograd.Function):
    """out[j] = relu(base + sum of weight[index[k]] over k < j); out (C, N, H), base (N, H), index int64 (C, N)."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, base: Tensor, index: Tensor) -> Tensor:  # noqa: ANN401
        out = base.new_empty(len(index), *base.shape)
        total = base.clone()
        for j, rows in enumerate(index):
            torch.clamp_min(total, 0, out=out[j])
            total += weight[rows]
        ctx.save_for_backward(out, index)
        ctx.rows = len(weight)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:  # noqa: ANN401
        (grad,) = grads
        out, index = ctx.saved_tensors
        weight = out.new_zeros(ctx.rows, out.shape[2])
        below = torch.zeros_like(out[0])
        for j in range(len(index) - 1, -1, -1):
            if j < len(index) - 1:
                weight.index_add_(0, index[j], below)
            below += grad[j] * (out[j] > 0)
        return weight, below, None


def running_sum(weight: Tensor, base: Tensor, index: Tensor) -> Tensor:
    """See RunningSum."""
    result: Tensor = RunningSum.apply(weight, base, index)  # type: ignore[no-untyped-call]
    return result
