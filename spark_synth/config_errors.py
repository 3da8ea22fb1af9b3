"""What is wrong with a configuration, in one line that names the option."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError


def explain(error: ValidationError, tree: Mapping[str, Any], model: type[BaseModel]) -> str:
    """The first problem of a refused configuration, as one line that names the option."""
    first = error.errors(include_url=False)[0]
    place = tuple(str(part) for part in first["loc"])
    name = ".".join(place)
    match first["type"]:
        case "extra_forbidden":
            return _unknown(place, model)
        case "missing":
            return f"option '{name}' is missing: add it to the configuration or give --set {name}=..."
        case "value_error":
            return f"option '{name}': {first['ctx']['error']}"
    written = _written(tree, place)
    got = "nothing" if written is None else repr(written)
    return f"option '{name}': {_expectation(first['type'], first['msg'])}, got {got}"


def _expectation(kind: str, message: str) -> str:
    """Pydantic's message in the words of the configuration."""
    words = {"int": "a whole number", "float": "a number", "string": "text", "list": "a list", "dict": "options"}
    words["model"] = words["dict"]
    stem = kind.removesuffix("_type").removesuffix("_parsing").removesuffix("_from_float")
    return f"expected {words[stem]}" if stem in words else message.replace("Input should be", "must be")


def _written(tree: Any, place: Sequence[str]) -> Any:  # noqa: ANN401
    """What the user wrote there, before the environment was put in: safe to show."""
    for part in place:
        tree = tree[int(part)] if isinstance(tree, list) else tree[part] if isinstance(tree, dict) else tree
    return tree


def _unknown(place: tuple[str, ...], model: type[BaseModel]) -> str:
    """Message for an unknown key: the nearest one beside it, or of the same name elsewhere, or all that are there."""
    known = list(_known_options(model))
    pattern = [("*" if place[0] in ("tables", "gates") and i == 1 else part) for i, part in enumerate(place)]
    parent = pattern[:-1]
    siblings = [path for path in known if path[:-1] == tuple(parent)]
    near = difflib.get_close_matches(place[-1], [path[-1] for path in siblings], 1, cutoff=0.6)
    if near:
        best = ".".join((*place[:-1], near[0]))
    else:
        leaves = {path[-1]: path for path in reversed(known) if "*" not in path}
        far = difflib.get_close_matches(place[-1], list(leaves), 1, cutoff=0.75)
        best = ".".join(leaves[far[0]]) if far else ""
    hint = f"did you mean '{best}'?" if best else f"known here: {', '.join(path[-1] for path in siblings)}"
    return f"unknown option '{'.'.join(place)}': {hint}"


def _known_options(model: type[BaseModel], prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Paths of all options; `*` stands for a table name."""
    for name, field in model.model_fields.items():
        place = (*prefix, field.alias or name)
        yield place
        kind: Any = field.annotation
        if get_origin(kind) is dict:
            place, kind = (*place, "*"), get_args(kind)[1]
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _known_options(kind, place)
