"""The commands as Python objects: a Database, a Schema, a Synthesizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from spark_synth.config import RunConfig
from spark_synth.errors import UserError
from spark_synth.schema import Schema, save_schema


@dataclass(frozen=True)
class Database:
    """A real database: a folder of tables (CSV, Parquet, Delta) or a SQLite file, and its schema.

    schema: a Schema, or the path of a schema.yaml or SDV metadata file.
    """

    path: str
    schema: Schema | str
    format: str = "auto"
    sample: float = 1.0


class Synthesizer:
    """Train on a database, then generate and evaluate as often as wanted.

    output: folder, or `catalog.schema`. options: sections of the configuration by name, for example
    `train={"max_minutes": 5}`, `model={"hidden": 128}`, `seed=1`.
    """

    def __init__(self, database: Database, output: str, **options: Any) -> None:  # noqa: ANN401
        self.database, self.output, self.options = database, output, options
        self.run_id: str | None = None
        self.folder: Path | None = None

    def train(self) -> Synthesizer:
        """Fit encoders and models; `run_id` names the MLflow run. Returns self, so calls chain."""
        from spark_synth import pipeline

        self.run_id = pipeline.train(self._config())
        return self

    def generate(
        self,
        ratio: float = 1.0,
        preserve_tables: Sequence[str] = (),
        identifier: str | None = None,
        append: bool = False,
        given: Mapping[str, str] | None = None,
        table: str | None = None,
        where: str | None = None,
        model: str | None = None,
    ) -> Synthesizer:
        """Write a synthetic database; `folder` is where it lies.

        given: by table, the path of the rows that it is to have. append: add a wave to the database of that
        identifier, or to the last one; table: draw this table of it once more, and all that hangs on it; where: only
        its families with rows of this SQL condition. model: models:/NAME@ALIAS, a registered model, in place of the
        training of this object.
        """
        from spark_synth import pipeline

        if (append or table) and identifier is None and self.folder is not None:
            identifier = self.folder.name
        asked = {"ratio": ratio, "preserve_tables": list(preserve_tables), "identifier": identifier}
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

    def export(self, to: str, prefix: str = "synth_") -> None:
        """Write the last generated database back to another one."""
        from spark_synth import pipeline

        pipeline.export(self._config(), to, prefix)

    def _config(self, **sections: Any) -> RunConfig:  # noqa: ANN401
        source = {"path": self.database.path, "format": self.database.format, "sample": self.database.sample}
        plain = {"source": source, "schema": self._schema_path(), "output": self.output, **self.options, **sections}
        return build_config(plain)

    def _schema_path(self) -> str:
        if isinstance(self.database.schema, str):
            return self.database.schema
        with NamedTemporaryFile("w", suffix=".yaml", delete=False) as file:
            pass
        save_schema(self.database.schema, file.name)
        return file.name


def build_config(plain: dict[str, Any]) -> RunConfig:
    """A checked configuration from plain data."""
    import yaml

    from spark_synth.config import load_config

    with NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump(plain, file)
        file.flush()
        return load_config(file.name)
