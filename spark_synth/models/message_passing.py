"""Messages between the rows of a family and what is known around them: the graph, and the layers that pass them on.

Vertices are the rows; for each ancestor one vertex per family, the owner first; and for each link one vertex per row,
the row that it leads to. Edges are the foreign keys between them, both ways: a row's to its owner, its links' to their
targets, the owner's to its further ancestors; where rows are a sequence, those that follow each other are joined, too.

A layer sends along each edge the state of the vertex it comes from, times a matrix of the kind of edge, adds up what
reaches a vertex, and updates its state by a GRU (Gilmer et al., ICML 2017; Li et al., ICLR 2016), as in Mami et al.
(2022, arXiv 2211.16889). Where many rows reach their owner the sum is divided by the root of their number: what they
say differently has then the same spread in families of any size, and the GRU is not saturated by large ones.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from spark_synth.models.batch import ABSENT, FamilyBatch
from spark_synth.models.spec import GeneratorSpec, VaeSpec

ROW = "row"
States = Mapping[str, Tensor]  # type of vertex -> float (vertices, width)


@dataclass(frozen=True)
class EdgeKind:
    """Edges with a matrix of their own, from vertices of one type to those of another."""

    name: str
    source: str
    goal: str


@dataclass(frozen=True)
class Edges:
    """The edges of one kind: int64 (E,) where they come from and where they go; weight float (E,), zero for edges from
    or to what is not there (so that their number does not depend on codes: a GPU would be waited for)."""

    source: Tensor
    goal: Tensor
    weight: Tensor


def ancestor_widths(spec: GeneratorSpec) -> list[int]:
    """Sub-columns of each ancestor in the context, the owner first; without further word all are the owner's."""
    found = _vae(spec).tables or ([len(spec.context_cards)] if spec.context_cards else [])
    if sum(found) != len(spec.context_cards):
        raise ValueError(f"ancestors of {found} sub-columns, but {len(spec.context_cards)} in the context")
    return found


def ancestor(i: int) -> str:
    """The type of the i-th ancestor's vertices; 0 is the owner."""
    return f"ancestor_{i}"


def target(i: int) -> str:
    """The type of the vertices that the i-th link leads to."""
    return f"target_{i}"


def edge_kinds(spec: GeneratorSpec) -> list[EdgeKind]:
    """All kinds of edges in a table's graph."""
    joined = [(ROW, ancestor(0))] if ancestor_widths(spec) else []
    joined += [(ancestor(0), ancestor(i)) for i in range(1, len(ancestor_widths(spec)))]
    joined += [(ROW, target(i)) for i in range(len(_vae(spec).targets))]
    kinds = [EdgeKind(f"{a}__{b}", a, b) for pair in joined for a, b in (pair, pair[::-1])]
    return kinds + [EdgeKind(name, ROW, ROW) for name in ("next", "previous") if spec.recurrent]


def edges_of(spec: GeneratorSpec, batch: FamilyBatch) -> dict[str, Edges]:
    """The edges of a batch by the name of their kind. Of its codes only fixed ones are looked at."""
    family = batch.family()
    rows = torch.arange(batch.rows, device=family.device)
    families = torch.arange(len(batch.lengths), device=family.device)
    edges: dict[str, Edges] = {}
    there = _ancestors_there(spec, batch)
    if there:
        owned, shrunk = there[0][family], batch.lengths.rsqrt()[family]
        edges |= _both(ROW, ancestor(0), rows, family, owned * shrunk, owned)
    for i, one in enumerate(there[1:], start=1):
        edges |= _both(ancestor(0), ancestor(i), families, families, one, one)
    for i, (first, end) in enumerate(_vae(spec).targets):
        leads = (batch.codes[:, first:end] != ABSENT).any(1).float()
        edges |= _both(ROW, target(i), rows, rows, leads, leads)
    if spec.recurrent:
        after = torch.arange(1, max(1, batch.rows), device=family.device)
        same = (family[after] == family[after - 1]).float()
        edges["next"] = Edges(after - 1, after, same)
        edges["previous"] = Edges(after, after - 1, same)
    return edges


class MessageLayer(nn.Module):
    """One round of messages; afterwards the states of the types `goals` are new, the others are dropped."""

    def __init__(self, kinds: list[EdgeKind], goals: Collection[str], width: int) -> None:
        super().__init__()
        self.sent: dict[str, list[EdgeKind]] = {}
        for kind in kinds:
            if kind.goal in goals:
                self.sent.setdefault(kind.source, []).append(kind)
        # The matrices of all kinds that leave a type of vertex, side by side: one product instead of several.
        self.maps = nn.ModuleDict({s: nn.Linear(width, len(of) * width, bias=False) for s, of in self.sent.items()})
        self.updates = nn.ModuleDict({goal: nn.GRUCell(width, width) for goal in goals})
        self.width = width

    def forward(self, states: States, edges: Mapping[str, Edges]) -> dict[str, Tensor]:
        """New states by type of vertex."""
        heard = {goal: torch.zeros_like(states[goal]) for goal in self.updates}
        for source, kinds in self.sent.items():
            said = self.maps[source](states[source]).split(self.width, 1)
            for kind, message in zip(kinds, said, strict=True):
                of = edges[kind.name]
                sent = message.index_select(0, of.source) * of.weight[:, None]
                heard[kind.goal] = heard[kind.goal].index_add(0, of.goal, sent)
        return {goal: update(heard[goal], states[goal]) for goal, update in self.updates.items()}


class MessagePassing(nn.Module):
    """Layers of messages, after which the rows' states are asked for."""

    def __init__(self, spec: GeneratorSpec, layers: int, width: int) -> None:
        super().__init__()
        kinds = edge_kinds(spec)
        goals = [[ROW]] * min(1, layers)
        for _ in range(1, layers):  # before the last layer: whoever rows still hear from
            goals.append(list(dict.fromkeys(goals[-1] + [k.source for k in kinds if k.goal in goals[-1]])))
        self.layers = nn.ModuleList([MessageLayer(kinds, of, width) for of in goals[::-1]])

    def forward(self, states: States, edges: Mapping[str, Edges]) -> Tensor:
        """(N, width): the states of the rows in the end."""
        for layer in self.layers:
            states = layer(states, edges)
        return states[ROW]


def _vae(spec: GeneratorSpec) -> VaeSpec:
    if spec.vae is None:
        raise ValueError("a graph VAE needs spec.vae")
    return spec.vae


def _ancestors_there(spec: GeneratorSpec, batch: FamilyBatch) -> list[Tensor]:
    """float (B,) of each ancestor: 1 for families that have it. An owner may have no codes of its own."""
    widths = ancestor_widths(spec)
    if not widths:
        return []
    there = batch.context != ABSENT
    further = [part.any(1) for part in torch.split(there, widths, 1)[1:]]
    return [one.float() for one in (there.any(1), *further)]


def _both(a: str, b: str, at_a: Tensor, at_b: Tensor, up: Tensor, down: Tensor) -> dict[str, Edges]:
    """Edges between vertices (E,) of types a and b: weights `up` from a to b, `down` from b to a."""
    return {f"{a}__{b}": Edges(at_a, at_b, up), f"{b}__{a}": Edges(at_b, at_a, down)}
