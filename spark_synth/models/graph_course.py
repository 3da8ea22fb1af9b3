"""Families on their way through a graph VAE: made at once out of latent numbers, then looked up row by row."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from spark_synth.models.batch import FamilyBatch
from spark_synth.models.outputs import outputs_by_column

if TYPE_CHECKING:
    from spark_synth.models.graph_vae import GraphVae


class GraphCourse:
    """A models.base.Course. Of all rows only the last hidden layer (N, H) is kept; logits are made when asked for."""

    def __init__(self, model: GraphVae, batch: FamilyBatch, decoded: Tensor) -> None:
        self.model, self.hidden = model, decoded
        self.paths = model.summary_paths(batch.context)
        self.links = model.linked_paths(batch.codes)
        self.outputs = outputs_by_column(model.groups, model.outer, model.outer_bias)
        # By how much the rows that stand for a family's lie behind its own: a family that was chosen in its place (see
        # models.base.Observed) goes on with the numbers it was made from.
        self.moved = torch.zeros_like(batch.lengths)

    def begin(self, codes: Tensor, rows: Tensor, position: Tensor, size: Tensor) -> None:
        """See Course."""
        self.own = rows
        self.rows = rows + self.moved[: len(rows)]

    def logits(self, column: int, codes: Tensor) -> Tensor:
        """See Course."""
        model, active = self.model, len(codes)
        at = model.place[column]
        hidden = self.hidden[self.rows] @ model.inner[at] + model.inner_bias[at]
        if column in self.paths:
            hidden = hidden + self.paths[column][:active]
        if column in self.links:
            hidden = hidden + self.links[column][self.rows]
        weight, bias = self.outputs[column]
        card = model.spec.cards[column]
        out: Tensor = F.relu(hidden) @ weight[:, :card] + bias[:card]
        return out

    def take(self, column: int, codes: Tensor) -> None:
        """See Course. Given z, sub-columns do not depend on each other."""

    def choose(self, chosen: Tensor) -> None:
        """See Course."""
        self.rows = self.rows[chosen]
        self.moved[: len(chosen)] = self.rows - self.own

    def end(self, codes: Tensor) -> None:
        """See Course. Rows do not depend on what was drawn for the others."""
