"""Where the tables of a diagram stand: in layers along the graph of their foreign keys, parents left of children
(Sugiyama, Tagawa and Toda, 1981: cycles are opened, layers assigned, their order found by barycentres)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import networkx as nx

Size = tuple[float, float]
Place = tuple[float, float]
GAP_X, GAP_Y = 72.0, 22.0  # between columns, and between the boxes of one
_LEAST_HEIGHT = 620.0  # a layer lower than this is one column
_ROW_WIDTH = 1120.0  # parts of the graph stand side by side up to this width, or that of the widest
_SWEEPS = 6


def place(sizes: Mapping[str, Size], edges: Sequence[tuple[str, str]]) -> tuple[dict[str, Place], Size]:
    """Top left corner of each box, and the size of the whole. sizes: width and height of the boxes, all of one width;
    edges: (parent, child). Parts that hang together stand by themselves, the largest first; boxes that hang together
    with nothing come last."""
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(sizes)
    graph.add_edges_from((a, b) for a, b in edges if a != b)
    parts = sorted(nx.weakly_connected_components(graph), key=lambda part: (-len(part), min(part)))
    area = sum((w + GAP_X) * (h + GAP_Y) for w, h in sizes.values())
    tall = max(_LEAST_HEIGHT, 0.7 * math.sqrt(area))
    drawn = [_layered(graph.subgraph(part), sizes, tall) for part in parts if len(part) > 1]
    alone = [t for t in sizes if graph.degree(t) == 0]
    width = max([_ROW_WIDTH, *(size[0] for _, size in drawn)])
    drawn += [({t: (0.0, 0.0)}, sizes[t]) for t in alone]
    return _shelves(drawn, width)


def _layered(graph: nx.DiGraph[str], sizes: Mapping[str, Size], tall: float) -> tuple[dict[str, Place], Size]:
    layers = _ordered(_layers(_opened(graph)), graph)
    columns = [column for layer in layers for column in _columns(layer, sizes, tall)]
    heights = [sum(sizes[t][1] + GAP_Y for t in column) - GAP_Y for column in columns]
    places, x = {}, 0.0
    for column, height in zip(columns, heights, strict=True):
        y = 0.0 if max(heights) > _LEAST_HEIGHT else (max(heights) - height) / 2
        for t in column:
            places[t] = (x, y)
            y += sizes[t][1] + GAP_Y
        x += max(sizes[t][0] for t in column) + GAP_X
    return places, (x - GAP_X, max(heights))


def _opened(graph: nx.DiGraph[str]) -> nx.DiGraph[str]:
    """The graph without the edges that close its cycles."""
    open_graph: nx.DiGraph[str] = nx.DiGraph()
    open_graph.add_nodes_from(sorted(graph))
    open_graph.add_edges_from(sorted(graph.edges))
    while not nx.is_directed_acyclic_graph(open_graph):
        open_graph.remove_edge(*nx.find_cycle(open_graph)[-1][:2])
    return open_graph


def _layers(graph: nx.DiGraph[str]) -> list[list[str]]:
    """Layers by the longest path from a table without parents; those without parents stand beside their children."""
    layer = {t: i for i, part in enumerate(nx.topological_generations(graph)) for t in part}
    for t in graph:
        if not graph.in_degree(t) and graph.out_degree(t):
            layer[t] = min(layer[c] for c in graph.successors(t)) - 1
    return [sorted(t for t in graph if layer[t] == i) for i in sorted(set(layer.values()))]


def _ordered(layers: list[list[str]], graph: nx.DiGraph[str]) -> list[list[str]]:
    """Each layer in the order of the mean places of its neighbours, from left to right and back again."""
    at = {t: (i + 0.5) / len(layer) for layer in layers for i, t in enumerate(layer)}
    for sweep in range(_SWEEPS):
        rightwards = sweep % 2 == 0
        for layer in layers if rightwards else layers[::-1]:
            near = {t: graph.predecessors(t) if rightwards else graph.successors(t) for t in layer}
            mean = {t: _mean([at[n] for n in near[t]], at[t]) for t in layer}
            layer[:] = sorted(layer, key=lambda t, mean=mean: (mean[t], t))  # type: ignore[misc]
            at |= {t: (i + 0.5) / len(layer) for i, t in enumerate(layer)}
    return layers


def _mean(values: list[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _columns(layer: list[str], sizes: Mapping[str, Size], tall: float) -> list[list[str]]:
    """A layer as columns no higher than `tall`, of about the same height."""
    total = sum(sizes[t][1] + GAP_Y for t in layer)
    wanted = total / math.ceil(total / tall)
    columns: list[list[str]] = [[]]
    height = 0.0
    for t in layer:
        if height and height + sizes[t][1] / 2 > wanted:
            columns.append([])
            height = 0.0
        columns[-1].append(t)
        height += sizes[t][1] + GAP_Y
    return columns


def _shelves(drawn: list[tuple[dict[str, Place], Size]], width: float) -> tuple[dict[str, Place], Size]:
    """Drawings side by side in rows of this width."""
    places: dict[str, Place] = {}
    x = y = row = right = 0.0
    for inside, (w, h) in drawn:
        if x and x + w > width:
            x, y, row = 0.0, y + row + 2 * GAP_Y, 0.0
        places |= {t: (x + a, y + b) for t, (a, b) in inside.items()}
        right = max(right, x + w)
        x, row = x + w + GAP_X / 2, max(row, h)
    return places, (right, y + row)
