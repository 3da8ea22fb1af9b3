"""What a vertex of a family's graph knows by itself, before messages pass (see models.message_passing)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spark_synth.models.batch import ABSENT, FamilyBatch
from spark_synth.models.deep_sets import DeepSet
from spark_synth.models.message_passing import ROW, ancestor, ancestor_widths, target
from spark_synth.models.position import place_sum, place_tables
from spark_synth.models.shared import CodeTable, Features, code_index, code_offsets, places
from spark_synth.models.spec import GeneratorSpec


class VertexEncoder(nn.Module):
    """From the codes of a vertex to a vector; the same one for all if it has none."""

    offsets: Tensor

    def __init__(self, features: Features, width: int) -> None:
        super().__init__()
        self.columns = len(features)
        self.base = nn.Parameter(torch.full((width,), 0.2))  # a ReLU at zero would give no gradient
        if features:
            self.register_buffer("offsets", code_offsets([len(f) for f in features]), persistent=False)
            self.value = CodeTable(features, width, 1 / math.sqrt(len(features)))
            self.mix = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))

    def forward(self, codes: Tensor) -> Tensor:
        """float (N, width) of int64 (N, C); ABSENT codes add nothing."""
        if not self.columns:
            return self.base.expand(len(codes), -1)
        summed = F.embedding_bag(code_index(codes, self.offsets), self.value(), mode="sum") + self.base
        out: Tensor = summed + self.mix(F.relu(summed))
        return out


class Vertices(nn.Module):
    """First states of all vertices: rows by their first `seen` sub-columns, the sets that they are joined with, and
    their place in the family; ancestors and targets of links by their codes."""

    def __init__(self, spec: GeneratorSpec, seen: int, width: int) -> None:
        super().__init__()
        self.spec, self.seen, self.widths = spec, seen, ancestor_widths(spec)
        self.unseen = tuple(j for j in spec.unseen if j < seen)
        self.targets = spec.vae.targets if spec.vae else []
        features, above = spec.code_features()
        ends = torch.cumsum(torch.tensor([0, *self.widths]), 0).tolist()
        self.row = VertexEncoder(features[:seen], width)
        self.ancestors = nn.ModuleList(
            [VertexEncoder(above[a:b], width) for a, b in zip(ends[:-1], ends[1:], strict=True)]
        )
        self.linked = nn.ModuleList([VertexEncoder(features[first:end], width) for first, end in self.targets])
        self.sets = nn.ModuleList([DeepSet(one, spec.head, width) for one in spec.sets])
        if spec.recurrent:
            self.places = place_tables(width)

    def forward(self, batch: FamilyBatch) -> dict[str, Tensor]:
        """float (vertices, width) by type of vertex."""
        codes = self._looked_at(batch.codes)
        row = self.row(codes[:, : self.seen])
        if self.spec.recurrent:
            family = batch.family()
            row = row + place_sum(self.places, batch.start[family] + batch.position(), batch.size[family])
        if batch.sets is not None and self.spec.sets:
            parts = torch.split(batch.sets, [s.slots * len(s.cards) for s in self.spec.sets], 1)
            row = row + torch.stack([one(part) for one, part in zip(self.sets, parts, strict=True)]).sum(0)
        states = {ROW: row}
        above = torch.split(batch.context, self.widths, 1) if self.widths else ()
        for i, part in enumerate(above):
            states[ancestor(i)] = self.ancestors[i](part)
        for i, (first, end) in enumerate(self.targets):
            states[target(i)] = self.linked[i](codes[:, first:end])
        return states

    def _looked_at(self, codes: Tensor) -> Tensor:
        """Codes that say nothing of how a row is drawn count as absent."""
        if not self.unseen:
            return codes
        return codes.index_fill(1, places(self.unseen, codes.device), ABSENT)
