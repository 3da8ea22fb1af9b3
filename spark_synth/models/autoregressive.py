"""The default family: autoregressive over sub-columns by running sums, recurrent over sibling rows.

p(rows of a family | context) = prod_t prod_j p(x_tj | x_t,<j ; rows < t ; context). The hidden state of sub-column j
is a base (context, position, recurrent state) plus the sum of the embeddings of sub-columns < j, as in NADE
(Larochelle and Murray, AISTATS 2011; Uria et al., JMLR 2016), followed by a small layer of its own. Two direct paths
enter that layer undiluted: the same sub-column of the previous sibling, and the family's summary of the same column
(and that of all rows with the same link). Fixed sub-columns are summed into the base, and mixed with the context; so is
what the sets of rows say that a row is joined with.
Once trained, tables of pairs (models.pairs) may be added to its logits.
Output biases start at the log frequencies with zero weights, so an untrained network is a smoothed frequency model.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spark_synth.models.base import Course, Outline
from spark_synth.models.batch import FamilyBatch, of_sibling
from spark_synth.models.deep_sets import DeepSet
from spark_synth.models.network import GeneratorNetwork
from spark_synth.models.outputs import (
    code_outputs,
    cross_entropies,
    direct_paths,
    frequency_biases,
    width_groups,
    with_paths,
)
from spark_synth.models.pairs import PairTerms, Surroundings
from spark_synth.models.position import place_sum, place_tables
from spark_synth.models.remaining import remaining
from spark_synth.models.running import running_sum
from spark_synth.models.running_course import RunningCourse
from spark_synth.models.shared import CodeTable, code_index, code_offsets, places
from spark_synth.models.spec import GeneratorSpec


class Autoregressive(GeneratorNetwork):
    """The network. All tensors on CPU or one device; float32."""

    offsets: Tensor
    context_offsets: Tensor

    def __init__(self, spec: GeneratorSpec) -> None:
        super().__init__(spec)
        columns, hidden, head = len(spec.cards), spec.hidden, spec.head
        drawn = columns - spec.fixed
        self.register_buffer("offsets", code_offsets(spec.cards), persistent=False)
        self.register_buffer("context_offsets", code_offsets(spec.context_cards), persistent=False)
        features, above = spec.code_features()
        self.value = CodeTable(features, hidden, 0.5 / math.sqrt(columns))
        self.base = nn.Parameter(torch.full((hidden,), 0.2))
        if spec.context_cards:
            self.context = CodeTable(above, hidden, 1 / math.sqrt(len(spec.context_cards)))
            self.summary = CodeTable(above, head, 0.05)
            self.mix = nn.Sequential(nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, hidden))
        if spec.fixed:
            self.fixed_mix = nn.Sequential(nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, hidden))
        self.sets = nn.ModuleList([DeepSet(one, head, hidden) for one in spec.sets])
        if spec.linked:
            self.linked = CodeTable(features, head, 0.05)
        if spec.recurrent:
            self.same_before = CodeTable(features, head, 0.05)
            self.places = place_tables(hidden)
            self.row_in = nn.Linear(hidden, hidden)
            self.memory = nn.GRU(hidden, hidden, batch_first=True)
            self.row_out = nn.Linear(hidden, hidden)
        self.inner = nn.Parameter(torch.randn(drawn, hidden, head) * math.sqrt(2 / hidden))
        self.inner_bias = nn.Parameter(torch.full((drawn, 1, head), 0.1))
        self.groups = width_groups(spec)
        self.outer = code_outputs(spec, self.groups, features)
        self.outer_bias = frequency_biases(spec, self.groups)
        self.dropout = nn.Dropout(spec.dropout)
        self.pairs = PairTerms(spec)

    # -- training ---------------------------------------------------------------------------------------------

    def column_losses(self, batch: FamilyBatch) -> Tensor:
        """(C,): negative log likelihood summed over rows, per sub-column; zero for given ones."""
        return cross_entropies(self.groups, self.code_logits(batch), batch.codes)

    def code_logits(self, batch: FamilyBatch) -> Iterator[Tensor]:
        """For each group of sub-columns: logits (G, N, K) of every row given the real codes before it."""
        index, weight = self.seen_index(batch.codes), self.value()
        fixed = self.spec.fixed
        family, position = batch.family(), batch.position()
        context = self.context_state(batch.context, len(batch.lengths))
        rows = context
        if self.spec.recurrent:
            rows = F.embedding_bag(index, weight, mode="sum")
        base = self.base_state(batch, context, rows, family, position)
        if fixed:
            base = base + self.fixed_state(index[:, :fixed], weight, context.index_select(0, family))
        if batch.sets is not None:
            base = base + self.sets_state(batch.sets)
        running = running_sum(weight, base, index[:, fixed:].T.contiguous())
        hidden = torch.baddbmm(self.inner_bias, running, self.inner)
        if self.spec.recurrent:
            before = self.same_before()
            hidden = hidden + F.embedding(of_sibling(index[:, fixed:], position, len(before) - 1).T, before)
        # One mask for all sub-columns of a row: drawing one for each would cost more than the layer itself.
        hidden = F.relu(self._add_summaries(hidden, batch.context, index, family)) * self.dropout(
            hidden.new_ones(hidden.shape[1:])
        )
        around = Surroundings.of(batch) if self.spec.pairs else None
        for columns, output, bias in zip(self.groups, self.outer, self.outer_bias, strict=True):
            layers = hidden.index_select(0, places(tuple(columns), hidden.device) - fixed)
            logits = torch.baddbmm(bias, layers, output())
            for i, j in enumerate(columns):
                if around is not None and j in self.spec.pairs:
                    logits[i, :, : self.spec.cards[j]] += self.pairs(j, around)
                if j in self.spec.room:
                    logits[i, :, : self.spec.cards[j]] += remaining(batch, j, self.spec.room[j])
            yield logits

    def drawn_logits(self, batch: FamilyBatch) -> Iterator[Tensor]:
        """As `code_logits`: what is drawn is taken to be like the real codes before it."""
        return self.code_logits(batch)

    def seen_index(self, codes: Tensor) -> Tensor:
        """Rows of `value` for codes (N, C); those that are not looked at count as absent."""
        index = code_index(codes, self.offsets)
        if self.spec.unseen:
            index[:, places(tuple(self.spec.unseen), index.device)] = self.offsets[-1]
        return index

    def context_state(self, context: Tensor, families: int) -> Tensor:
        """(B, H): the base of every row of a family."""
        if not self.spec.context_cards:
            return self.base.expand(families, -1)
        summed = F.embedding_bag(code_index(context, self.context_offsets), self.context(), mode="sum")
        mixed: Tensor = self.mix(F.relu(summed))
        return mixed + self.base

    def base_state(self, batch: FamilyBatch, context: Tensor, rows: Tensor, family: Tensor, position: Tensor) -> Tensor:
        """(N, H): context, place in the family and memory of the rows before."""
        base = context.index_select(0, family)
        if not self.spec.recurrent:
            return base
        base = base + self.place_state(batch.start[family] + position, batch.size[family])
        rows = self.row_in(rows)
        padded = rows.new_zeros(len(batch.lengths), batch.longest, self.spec.hidden)
        padded[family, position] = rows
        state, _ = self.memory(padded + context[:, None])
        shifted = F.pad(state, (0, 0, 1, 0))[:, :-1]
        of_rows = self.row_out(shifted).flatten(0, 1).index_select(0, family * batch.longest + position)
        out: Tensor = base + of_rows
        return out

    def fixed_state(self, index: Tensor, weight: Tensor, context: Tensor) -> Tensor:
        """(N, H): the fixed sub-columns by their rows (N, F) of `weight`, by themselves and with the context (N, H)."""
        summed = F.embedding_bag(index, weight, mode="sum")
        out: Tensor = summed + self.fixed_mix(F.relu(summed + context))
        return out

    def sets_state(self, sets: Tensor) -> Tensor:
        """(N, H): what the sets of rows (N, S) say."""
        parts = torch.split(sets, [s.slots * len(s.cards) for s in self.spec.sets], 1)
        return torch.stack([one(part) for one, part in zip(self.sets, parts, strict=True)]).sum(0)

    def place_state(self, position: Tensor, size: Tensor) -> Tensor:
        """(N, H): embeddings of the position, of the rows still to come and of the family size."""
        return place_sum(self.places, position, size)

    # -- sampling ---------------------------------------------------------------------------------------------

    def course(self, outline: Outline, generator: torch.Generator) -> Course:
        """See GeneratorNetwork."""
        return RunningCourse(self, outline)

    # -- pieces shared by both --------------------------------------------------------------------------------

    def summary_paths(self, context: Tensor) -> dict[int, Tensor]:
        """sub-column -> (B, head): what the family's own summary adds to that sub-column's layer."""
        if not self.spec.summaries:
            return {}
        return direct_paths(self.summary(), code_index(context, self.context_offsets), self.spec.summaries)

    def linked_paths(self, index: Tensor) -> dict[int, Tensor]:
        """sub-column -> (N, head): what the summaries behind a row's links add; index (N, >= F)."""
        if not self.spec.linked:
            return {}
        return direct_paths(self.linked(), index, self.spec.linked)

    def _add_summaries(self, hidden: Tensor, context: Tensor, index: Tensor, family: Tensor) -> Tensor:
        of_family = {j: path.index_select(0, family) for j, path in self.summary_paths(context).items()}
        for paths in (of_family, self.linked_paths(index)):
            hidden = with_paths(hidden, {j - self.spec.fixed: path for j, path in paths.items()})
        return hidden
