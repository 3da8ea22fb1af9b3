"""The commands as Python objects: a Database, a Schema, a Synthesizer."""

from __future__ import annotations

import os
import webbrowser
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from spark_synth.config import RunConfig
from spark_synth.errors import UserError
from spark_synth.schema import Schema, load_schema, save_schema


@dataclass(frozen=True)
class Database:
    """A real database and its schema: a folder of tables (CSV, Parquet, Delta), a SQLite file, or a database server.

    schema: a Schema, or the path of a schema.yaml or SDV metadata file; None: what the database declares.
    """

    path: str = ""
    schema: Schema | str | None = None
    format: str = "auto"
    sample: float = 1.0
    url: str | None = None
    namespace: str | None = None

    @classmethod
    def from_url(
        cls, url: str, schema: Schema | str | None = None, namespace: str | None = None, sample: float = 1.0
    ) -> Database:
        """A server or SQLite file by its SQLAlchemy address; `namespace` is what most servers call a schema."""
        return cls(schema=schema, sample=sample, url=url, namespace=namespace)

    @classmethod
    def from_delta(cls, path: str, schema: Schema | str | None = None) -> Database:
        """A folder of Delta tables."""
        return cls(path, schema, "delta")

    @classmethod
    def from_files(cls, path: str, schema: Schema | str | None = None) -> Database:
        """A folder of files; without a schema, its metadata.json or schema.yaml counts."""
        found = [p for p in (Path(path) / "schema.yaml", Path(path) / "metadata.json") if p.exists()]
        return cls(path, schema or (str(found[0]) if found else None))

    def source(self) -> dict[str, Any]:
        """The section `source` of a configuration."""
        plain = {"path": self.path, "format": self.format, "sample": self.sample}
        return {**plain, "url": self.url, "namespace": self.namespace}


@dataclass(frozen=True)
class Report:
    """The evaluation of a synthetic database: the page, and its scores."""

    path: Path

    @property
    def scores(self) -> dict[str, float]:
        """Every figure that the configuration may have a gate for, by name."""
        from spark_synth.evaluation import flatten
        from spark_synth.pipeline.gates import read_metrics

        return flatten(read_metrics(self.path.parents[1]))

    def show(self, height: int = 800) -> None:
        """Open it: below the cell of a notebook, or in the browser."""
        try:
            from IPython import get_ipython
            from IPython.display import IFrame, display
        except ImportError:
            get_ipython = None
        if get_ipython is None or get_ipython() is None:
            webbrowser.open(self.path.as_uri())
        else:
            display(IFrame(os.path.relpath(self.path), "100%", height))  # type: ignore[no-untyped-call]


class Synthesizer:
    """Train on a database, then generate and evaluate as often as wanted.

    output: folder, or `catalog.schema`. family: of generators, see docs/families.md. options: sections of the
    configuration by name, for example `train={"max_minutes": 5}`, `model={"hidden": 128}`, `seed=1`.
    """

    def __init__(
        self,
        database: Database | None = None,
        output: str = "synthetic",
        family: str | None = None,
        **options: Any,  # noqa: ANN401
    ) -> None:
        self.database, self.output, self.options = database, output, options
        if family is not None:
            self.options["model"] = {**options.get("model", {}), "family": family}
        self.run_id: str | None = None
        self.folder: Path | None = None

    def train(self, database: Database | None = None) -> Synthesizer:
        """Fit encoders and models; `run_id` names the MLflow run. Returns self, so calls chain."""
        from spark_synth import pipeline

        self.database = database or self.database
        self.run_id = pipeline.train(self._config())
        return self

    def generate(
        self,
        ratio: float = 1.0,
        preserve_tables: Sequence[str] = (),
        identifier: str | None = None,
        record_size_ratio: float | None = None,
        append: bool = False,
        given: Mapping[str, str] | None = None,
        table: str | None = None,
        where: str | None = None,
        model: str | None = None,
    ) -> Synthesizer:
        """Write a synthetic database; `folder` is where it lies.

        ratio (or record_size_ratio): its size, 1 being that of the real one. preserve_tables: their real rows are kept.
        given: by table, the path of the rows that it is to have. append: add a wave to the database of that
        identifier, or to the last one; table: draw this table of it once more, and all that hangs on it; where: only
        its families with rows of this SQL condition. model: models:/NAME@ALIAS, a registered model, in place of the
        training of this object.
        """
        from spark_synth import pipeline

        if (append or table) and identifier is None and self.folder is not None:
            identifier = self.folder.name
        asked = {
            "ratio": ratio if record_size_ratio is None else record_size_ratio,
            "preserve_tables": list(preserve_tables),
            "identifier": identifier,
        }
        asked["given"] = dict(given or {})
        run_id = None if model else self.run_id
        self.folder = pipeline.generate(self._config(generate=asked), run_id, append, table, where, model)
        return self

    def evaluate(self) -> Path:
        """Compare the last generated database with the real one; the path of the HTML report."""
        from spark_synth import pipeline

        if self.folder is None:
            raise UserError("evaluate: generate a database first")
        folder = pipeline.evaluate(self._config(generate={"identifier": self.folder.name}))
        return folder / "report" / "index.html"

    @property
    def report(self) -> Report:
        """The evaluation of the last generated database, made if there is none yet."""
        there = self.folder / "report" / "index.html" if self.folder else None
        return Report(there if there and there.exists() else self.evaluate())

    def save(self, to: str, prefix: str = "synth_", replace: bool = False) -> None:
        """The same as `export`."""
        self.export(to, prefix, replace)

    def export(self, to: str, prefix: str = "synth_", replace: bool = False, namespace: str | None = None) -> None:
        """Write the last generated database to `to`: the address of a database, the path of a SQLite file, csv:FOLDER
        or parquet:FOLDER; tables that are there already only if they are to be replaced."""
        from spark_synth import pipeline

        if self.folder is None:
            raise UserError("export: generate a database first")
        config = self._config(generate={"identifier": self.folder.name})
        pipeline.export(config, to, prefix, replace, namespace)

    def _config(self, **sections: Any) -> RunConfig:  # noqa: ANN401
        if self.database is None:
            raise UserError("train on a database first: Synthesizer(...).train(database)")
        plain = {"source": self.database.source(), "schema": "", "output": self.output, **self.options, **sections}
        plain["schema"] = self._schema_path(plain)
        return build_config(plain)

    def _schema_path(self, plain: dict[str, Any]) -> str:
        """The path of the schema: given, written down, or what the database declares."""
        assert self.database is not None
        if isinstance(self.database.schema, str):
            return self.database.schema
        path = Path(self.output).absolute() / "_work" / "schema.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        if self.database.schema is not None:
            save_schema(self.database.schema, path)
        elif not path.exists():
            _declared_schema(plain, path)
        return str(path)


def _declared_schema(plain: dict[str, Any], path: Path) -> None:
    """Write down what a database declares of its keys; UserError where it declares none, or not all that there are."""
    from spark_synth import pipeline

    proposed = path.with_name("proposed.yaml")
    pipeline.discover(build_config({**plain, "schema": str(proposed)}), None)
    schema = load_schema(proposed)
    guessed = [
        t for t, v in schema.tables.items() if v.confidence != 1 or any(k.confidence != 1 for k in v.foreign_keys)
    ]
    if guessed:
        raise UserError(
            f"table {guessed[0]}: not all keys are declared by the source: review {proposed}, set approved: true and "
            "pass it as schema"
        )
    schema.approved = True
    save_schema(schema, path)


def build_config(plain: dict[str, Any]) -> RunConfig:
    """A checked configuration from plain data."""
    import yaml

    from spark_synth.config import load_config

    with NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump(plain, file)
        file.flush()
        return load_config(file.name)
