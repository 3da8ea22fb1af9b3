"""The graph of a batch of families, and messages in it, against what is worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from spark_synth.models.batch import ABSENT, FamilyBatch
from spark_synth.models.message_passing import (
    EdgeKind,
    Edges,
    MessageLayer,
    MessagePassing,
    edge_kinds,
    edges_of,
)
from spark_synth.models.spec import GeneratorSpec, VaeSpec

SPEC = GeneratorSpec(
    cards=[4, 3, 5],
    fixed=2,
    context_cards=[3, 4, 2],
    recurrent=True,
    frequencies=[[1.0] * 4, [1.0] * 3, [1.0] * 5],
    hidden=16,
    head=4,
    vae=VaeSpec(latent=2, before=2, after=2, tables=[2, 1], targets=[[1, 2]]),
)


def families() -> FamilyBatch:
    """Of 4, 1 and 2 rows: the first has an owner with an owner, the second none, the third one without."""
    codes = torch.tensor([[0, 1, 2], [1, ABSENT, 0], [2, 2, 4], [3, 0, 1], [0, 1, 1], [1, 2, 3], [2, ABSENT, 0]])
    context = torch.tensor([[1, 3, 0], [ABSENT] * 3, [ABSENT, 2, ABSENT]])
    lengths = torch.tensor([4, 1, 2])
    return FamilyBatch(codes, context, lengths, torch.zeros_like(lengths), lengths)


def told(edges: Edges) -> list[tuple[int, int, object]]:
    """(from, to, weight) of the edges that are there."""
    found = zip(edges.source.tolist(), edges.goal.tolist(), edges.weight.tolist(), strict=True)
    return [(a, b, pytest.approx(w)) for a, b, w in found if w]


def test_the_edges_of_a_small_batch() -> None:
    found = edges_of(SPEC, families())
    assert set(found) == {k.name for k in edge_kinds(SPEC)}
    owner = [(0, 0), (1, 0), (2, 0), (3, 0), (5, 2), (6, 2)]  # the row without an owner has no edge
    roots = {0: 0.5, 2: math.sqrt(0.5)}
    assert told(found["row__ancestor_0"]) == [(r, f, roots[f]) for r, f in owner]
    assert told(found["ancestor_0__row"]) == [(f, r, 1) for r, f in owner]
    assert told(found["ancestor_0__ancestor_1"]) == told(found["ancestor_1__ancestor_0"]) == [(0, 0, 1)]
    linked = [(r, r, 1) for r in (0, 2, 3, 4, 5)]  # links of the others lead nowhere
    assert told(found["row__target_0"]) == told(found["target_0__row"]) == linked
    assert told(found["next"]) == [(0, 1, 1), (1, 2, 1), (2, 3, 1), (5, 6, 1)]
    assert told(found["previous"]) == [(1, 0, 1), (2, 1, 1), (3, 2, 1), (6, 5, 1)]


def test_a_table_by_itself_has_no_edges() -> None:
    alone = GeneratorSpec(cards=[3], vae=VaeSpec(tables=[]))
    batch = FamilyBatch(torch.zeros(2, 1).long(), torch.zeros(2, 0).long(), *[torch.ones(2).long()] * 3)
    assert edge_kinds(alone) == [] and edges_of(alone, batch) == {}


def test_context_without_further_word_is_the_owners_and_must_add_up() -> None:
    names = {k.name for k in edge_kinds(GeneratorSpec(cards=[3], context_cards=[2, 2], vae=VaeSpec()))}
    assert names == {"row__ancestor_0", "ancestor_0__row"}
    with pytest.raises(ValueError, match="sub-columns"):
        edge_kinds(GeneratorSpec(cards=[3], context_cards=[2, 2], vae=VaeSpec(tables=[1])))


def test_a_layer_is_matrices_sums_and_a_gru() -> None:
    """Two rows below one owner, in two dimensions, every number set: worked out below with pencil and paper."""
    up, down = EdgeKind("up", "row", "owner"), EdgeKind("down", "owner", "row")
    layer = MessageLayer([up, down], ["row", "owner"], 2)
    with torch.no_grad():
        for weight in layer.parameters():
            weight.zero_()
        assert isinstance(layer.maps["row"], nn.Linear) and isinstance(layer.maps["owner"], nn.Linear)
        layer.maps["row"].weight.copy_(torch.tensor([[1.0, 2.0], [0.0, -1.0]]))
        layer.maps["owner"].weight.copy_(torch.tensor([[0.0, 1.0], [1.0, 0.0]]))
        for cell in layer.updates.values():
            assert isinstance(cell, nn.GRUCell)
            cell.weight_ih[4:].copy_(torch.eye(2))  # only the new state listens, to what is heard; gates stay at 1/2
    states = {"row": torch.tensor([[1.0, 0.0], [0.5, -1.0]]), "owner": torch.tensor([[0.2, 0.4]])}
    rows, owner = torch.tensor([0, 1]), torch.tensor([0, 0])
    edges = {"up": Edges(rows, owner, torch.tensor([1.0, 0.5])), "down": Edges(owner, rows, torch.tensor([1.0, 0.0]))}
    out = layer(states, edges)
    # up: A (1, 0) = (1, 0) and half of A (0.5, -1) = (-1.5, 1), in all (0.25, 0.5); down: (0.4, 0.2), and nothing.
    t = math.tanh
    owners = torch.tensor([[(t(0.25) + 0.2) / 2, (t(0.5) + 0.4) / 2]])
    of_rows = torch.tensor([[(t(0.4) + 1) / 2, (t(0.2) + 0) / 2], [0.25, -0.5]])
    torch.testing.assert_close(out["owner"], owners)
    torch.testing.assert_close(out["row"], of_rows)


def test_messages_go_as_far_as_there_are_layers() -> None:
    """Row 0 hears of row 3 only over the owner (two steps) or along the sequence (three); of its owner at once."""
    torch.manual_seed(0)
    batch = families()
    edges = edges_of(SPEC, batch)
    for layers, heard in ((1, False), (2, True)):
        net = MessagePassing(SPEC, layers, 4)
        counts = {"row": 7, "ancestor_0": 3, "ancestor_1": 3, "target_0": 7}
        states = {name: torch.randn(n, 4, requires_grad=True) for name, n in counts.items()}
        net(states, edges)[0].sum().backward()
        gradient = states["row"].grad
        assert gradient is not None and gradient[1].any() and bool(gradient[3].any()) == heard
        assert not gradient[4:].any()  # never other families
        above, further = states["ancestor_0"].grad, states["ancestor_1"].grad
        assert above is not None and above[0].any() and not above[1:].any()
        assert heard == (further is not None and bool(further[0].any()))
