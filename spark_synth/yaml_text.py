"""Reading YAML the way people mean it: words stay words, and a key given twice is a mistake."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from spark_synth.errors import UserError


class _TextLoader(yaml.SafeLoader):
    """Leaves scalars as text (null aside): `NO` stays a country, `007` and `2024-01-01` stay what they look like.

    The models that receive the text turn it into the type they want.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key, _ in node.value:
            if key.value in seen and key.tag != "tag:yaml.org,2002:merge":
                raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} is given twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


_TextLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in pairs if tag.endswith((":null", ":merge"))]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def parse_scalar(text: str, where: str) -> Any:  # noqa: ANN401
    """The value of one YAML snippet, such as `5`, `null`, `[a, b]` or `"quoted"`."""
    return _load(text, where)


def load_yaml_mapping(path: str | Path, what: str) -> dict[str, Any]:
    """The mapping in a YAML file; `what` names the file's role in messages."""
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{what} {file} does not exist") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{what} {file} cannot be read: {error}") from None
    tree = _load(text, f"{what} {file}")
    if not isinstance(tree, dict):
        raise UserError(f"{what} {file}: expected options (name: value), found {'nothing' if tree is None else 'text'}")
    return tree


def _load(text: str, where: str) -> Any:  # noqa: ANN401
    try:
        return yaml.load(text, Loader=_TextLoader)
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise UserError(f"{where}: {line}{error.problem}") from None
    except yaml.YAMLError as error:
        raise UserError(f"{where}: {' '.join(str(error).split())}") from None
