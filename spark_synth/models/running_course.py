"""Families on their way through the autoregressive network: its running sums, one sub-column after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from spark_synth.models.base import Outline
from spark_synth.models.batch import ABSENT
from spark_synth.models.outputs import outputs_by_column
from spark_synth.models.pairs import Surroundings

if TYPE_CHECKING:
    from spark_synth.models.autoregressive import Autoregressive


class RunningCourse:
    """A models.base.Course: recurrent memory, previous row, summaries; the running sum of the row under way."""

    def __init__(self, model: Autoregressive, outline: Outline) -> None:
        self.model, self.sets, context = model, outline.sets, outline.context
        self.context = model.context_state(context, len(context))
        self.context_codes = context
        self.paths = model.summary_paths(context)
        self.outputs = outputs_by_column(model.groups, model.outer, model.outer_bias)
        self.values = model.value()
        self.same_before = model.same_before() if model.spec.recurrent else None
        self.memory = context.new_zeros((1, len(context), model.spec.hidden), dtype=torch.float32)
        self.before: Tensor | None = None

    def begin(self, codes: Tensor, rows: Tensor, position: Tensor, size: Tensor) -> None:
        """See Course."""
        model, fixed, active = self.model, self.model.spec.fixed, len(rows)
        running = self._base(active, position, size)
        if self.sets is not None:
            running = running + model.sets_state(self.sets[rows])
        self.origin = running
        self.links: dict[int, Tensor] = {}
        if fixed:
            index = model.seen_index(codes)[:, :fixed]
            running = running + model.fixed_state(index, self.values, self.context[:active])
            self.origin = running - F.embedding_bag(index, self.values, mode="sum")
            self.links = model.linked_paths(index)
        self.running = running

    def logits(self, column: int, codes: Tensor) -> Tensor:
        """See Course."""
        model, active = self.model, len(codes)
        at = column - model.spec.fixed
        hidden = F.relu(self.running) @ model.inner[at] + model.inner_bias[at]
        if self.before is not None and self.same_before is not None:
            hidden = hidden + F.embedding(self._index(column, self.before[:active]), self.same_before)
        if column in self.paths:
            hidden = hidden + self.paths[column][:active]
        if column in self.links:
            hidden = hidden + self.links[column]
        weight, bias = self.outputs[column]
        card = model.spec.cards[column]
        logits = F.relu(hidden) @ weight[:, :card] + bias[:card]
        if column in model.spec.pairs:
            logits = logits + model.pairs(column, self._around(codes))
        out: Tensor = logits
        return out

    def take(self, column: int, codes: Tensor) -> None:
        """See Course."""
        self.running = self.running + F.embedding(self._index(column, codes), self.values)

    def choose(self, chosen: Tensor) -> None:
        """See Course."""
        self.running, self.origin = self.running[chosen], self.origin[chosen]

    def end(self, codes: Tensor) -> None:
        """See Course."""
        model, active = self.model, len(codes)
        if model.spec.recurrent:
            inputs = (model.row_in(self.running - self.origin) + self.context[:active])[:, None]
            _, self.memory = model.memory(inputs, self.memory[:, :active].contiguous())
        self.before = codes

    def _base(self, active: int, position: Tensor, size: Tensor) -> Tensor:
        base = self.context[:active]
        if not self.model.spec.recurrent:
            return base
        past = self.memory[0, :active] if self.before is not None else torch.zeros_like(base)
        out: Tensor = base + self.model.place_state(position, size) + self.model.row_out(past)
        return out

    def _index(self, j: int, codes: Tensor) -> Tensor:
        """int64 (B,): the rows of a code table that sub-column `j` of codes (B, C) stands for."""
        return torch.where(codes[:, j] == ABSENT, self.model.offsets[-1], codes[:, j] + self.model.offsets[j])

    def _around(self, codes: Tensor) -> Surroundings:
        active = len(codes)
        before = torch.full_like(codes, ABSENT) if self.before is None else self.before[:active]
        return Surroundings(codes, self.context_codes[:active], before)
