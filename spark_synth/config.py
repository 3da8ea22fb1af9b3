"""The configuration of a run: one YAML file, `--set` overrides, `${ENV}` values. Everything a user can set is here."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    field_validator,
    model_validator,
)

from spark_synth.config_errors import explain
from spark_synth.environment import Environment
from spark_synth.errors import UserError
from spark_synth.yaml_text import load_yaml_mapping, parse_scalar

FAMILIES = ("autoregressive", "copula", "graph_vae", "gan", "clustered")
_CATALOG_SCHEMA = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


def _known_family(family: object) -> object:
    if family not in FAMILIES:
        raise ValueError(f"{family!r} is no model family (available: {', '.join(FAMILIES)})")
    return family


Positive = Annotated[int, Field(ge=1)]
Family = Annotated[Literal["autoregressive", "gan", "graph_vae", "copula", "clustered"], BeforeValidator(_known_family)]


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class SourceSettings(_Settings):
    """Where the real tables are, and which share of the root rows (with all that hangs on them) is read.

    path: a folder or a SQLite file, unless there is one of the others. url: the address of a database, whose tables (of
    a namespace, which most call a schema) are copied below the output. refresh: copy them although a copy is there.
    catalog: the tables of `catalog.schema`, such as one of Unity Catalog.
    """

    path: str = ""
    url: str | None = None
    catalog: str | None = None
    namespace: str | None = None
    refresh: bool = False
    format: Literal["auto", "csv", "json", "parquet", "delta", "sqlite"] = "auto"
    sample: float = Field(default=1.0, gt=0, le=1)

    @model_validator(mode="after")
    def _is_somewhere(self) -> SourceSettings:
        if not (self.path or self.url or self.catalog):
            raise ValueError("needs a path (a folder or a SQLite file), a url (the address of a database) or a catalog")
        if self.catalog and self.url:
            raise ValueError("has a catalog and a url: keep one of them")
        if self.catalog and (self.catalog.count(".") != 1 or not all(self.catalog.split("."))):
            raise ValueError(f"needs catalog.schema as catalog, not {self.catalog!r}")
        if self.catalog:
            self.path = ""
        return self

    @property
    def name(self) -> str:
        """What the database is called."""
        if self.catalog:
            return self.catalog
        return self.url.partition("?")[0].rpartition("/")[2] if self.url else Path(self.path).absolute().name


class TrackingSettings(_Settings):
    """The MLflow store, experiment and registered model; `load_config` fills in the local store beside the output."""

    uri: str | None = None
    experiment: str | None = None
    model: str | None = None

    @field_validator("model")
    @classmethod
    def _is_model_name(cls, value: str | None) -> str | None:
        if value is not None and (not value or re.search(r"[/:@]", value)):
            raise ValueError(f"must be a name without '/', ':' and '@', got {value!r}")
        return value


class SparkSettings(_Settings):
    """The Spark session. `master: null` leaves the choice to spark-submit or the cluster."""

    master: str | None = "local[*]"
    app_name: str = "spark-synth"
    conf: dict[str, str] = Field(default_factory=dict)


class ModelSettings(_Settings):
    """The generator of a table: its family, its size and how its columns are cut into codes."""

    family: Family = "autoregressive"
    hidden: Positive = 256
    head: Positive = 64
    dropout: float = Field(default=0.1, ge=0, lt=1)
    learning_rate: float = Field(default=0.002, gt=0)
    batch_rows: Positive = 4096
    max_bins: int = Field(default=64, ge=2)
    segment_rows: int = Field(default=512, ge=2)
    rare_threshold: int | None = Field(default=None, ge=1)
    latent: Positive = 8  # graph_vae: numbers that a row is made from
    beta: float = Field(default=1.0, gt=0)  # graph_vae: weight of their divergence from the prior
    message_layers: Positive = 4  # graph_vae: layers of messages before the latent numbers, and after them
    child_network: Literal["lstm", "cnn"] = "lstm"  # gan: what makes the rows of a family
    clusters: Positive = 20  # clustered: of the rows that own families, at most
    edges: Literal["neural", "block", "configuration"] = "neural"  # how a join table chooses its pairs
    edges_first: bool = False  # whether it does so before the rows that it links to have values


class TableSettings(_Settings):
    """What one table does differently: only the model options that are written down count."""

    model: ModelSettings = Field(default_factory=ModelSettings)
    owner: str | None = None


class TrainSettings(_Settings):
    """Limits of training; `max_minutes` is the wall-clock budget of all tables together.

    A table with at least `distributed_rows` rows is trained by `world_size` executors together (null: all there are).
    """

    max_minutes: float = Field(default=10, gt=0)
    max_epochs: Positive = 200
    patience: Positive = 6
    holdout: float = Field(default=0.1, gt=0, le=0.5)
    parallel_tables: int | None = Field(default=None, ge=1)
    distributed_rows: Positive = 2_000_000
    world_size: int | None = Field(default=None, ge=1)
    checkpoint_minutes: float = Field(default=5, gt=0)  # between two within an epoch; after each there is one


class GenerateSettings(_Settings):
    """Size and name of the synthetic database."""

    ratio: float = Field(default=1.0, gt=0)
    identifier: str | None = None
    preserve_tables: list[str] = Field(default_factory=list)
    given: dict[str, str] = Field(default_factory=dict)  # table -> path of the rows that it is to have
    partitions: int | None = Field(default=None, ge=1)

    @field_validator("identifier")
    @classmethod
    def _is_folder_name(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", value):
            raise ValueError(f"must be a plain folder name (letters, digits, '_', '-', '.'), got {value!r}")
        return value


class EvaluateSettings(_Settings):
    """Limits of the evaluation where cost grows with pairs of columns or with rows."""

    max_pair_columns: int = Field(default=40, ge=2)
    sample_rows: Positive = 100_000
    detection_rows: int = Field(default=10_000, ge=0)  # of either side that a classifier is to tell apart; 0: none
    privacy_rows: int = Field(default=5_000, ge=0)  # of either side whose neighbours are looked for; 0: no such scores
    targets: list[str] = Field(default_factory=list)  # table.column that models are to learn from synthetic rows
    queries: str | None = None  # folder of SQL files that both databases are asked; null: a workload from the schema
    ceiling: bool = True  # whether scores stand beside those that another sample of the same source would have

    @field_validator("queries")
    @classmethod
    def _has_queries(cls, value: str | None) -> str | None:
        if value is not None and not any(Path(value).glob("*.sql")):
            raise ValueError(f"no .sql file in {value}: put one query into each")
        return value


class Gate(_Settings):
    """What a figure of the evaluation must be at least, at most, or both."""

    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def _bounds_something(self) -> Gate:
        if self.min is None and self.max is None:
            raise ValueError("needs min, max or both")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min:g} is above max {self.max:g}")
        return self


class RunConfig(_Settings):
    """One run, validated. Made by `load_config`."""

    source: SourceSettings
    schema_path: str = Field(alias="schema", min_length=1)  # BaseModel has a method of the name `schema`
    output: str = Field(min_length=1)
    tracking: TrackingSettings = Field(default_factory=TrackingSettings)
    spark: SparkSettings = Field(default_factory=SparkSettings)
    model: ModelSettings = Field(default_factory=ModelSettings)
    tables: dict[str, TableSettings] = Field(default_factory=dict)
    break_edges: list[str] = Field(default_factory=list)  # foreign keys at which cycles of tables are opened
    train: TrainSettings = Field(default_factory=TrainSettings)
    generate: GenerateSettings = Field(default_factory=GenerateSettings)
    evaluate: EvaluateSettings = Field(default_factory=EvaluateSettings)
    gates: dict[str, Gate] = Field(default_factory=dict)  # figure, as MLflow shows it -> what it must be
    seed: int = 0

    _environment: Environment = PrivateAttr(default_factory=Environment)

    @property
    def output_is_catalog(self) -> bool:
        """True where `output` names `catalog.schema` and not a folder."""
        return bool(_CATALOG_SCHEMA.fullmatch(self.output)) and not Path(self.output).exists()

    def model_for(self, table: str) -> ModelSettings:
        """The model settings of a table: the defaults of the run with what the table says on top."""
        own = self.tables.get(table, TableSettings()).model
        return self.model.model_copy(update={name: getattr(own, name) for name in own.model_fields_set})

    def resolved(self) -> dict[str, Any]:
        """Every option with its final value, as plain data fit for a log: environment values and passwords masked."""
        plain = self.model_dump(mode="json", by_alias=True)
        plain["tables"] = {name: t.model_dump(mode="json", exclude_unset=True) for name, t in self.tables.items()}
        masked: dict[str, Any] = self._environment.mask(plain)
        return masked


def load_config(
    path: str | Path,
    overrides: Sequence[str] = (),
    *,
    ratio: float | None = None,
    preserve: Sequence[str] | None = None,
    given: Mapping[str, str] | None = None,
    identifier: str | None = None,
) -> RunConfig:
    """Read and check a configuration. Order: the file, then `overrides` ("a.b=c"), then the flags of the command."""
    tree = load_yaml_mapping(path, "configuration")
    for text in overrides:
        _apply(tree, text)
    kept, rows = list(preserve) if preserve else None, dict(given) if given else None
    flags = {"ratio": ratio, "preserve_tables": kept, "given": rows, "identifier": identifier}
    told = {name: str(value) if name == "ratio" else value for name, value in flags.items() if value is not None}
    if told:
        _section(tree, ["generate"], "generate").update(told)
    environment = Environment()
    written = {name: value for name, value in tree.items() if value is not None}  # a section with nothing below it
    try:
        config = RunConfig.model_validate(environment.fill(written))
    except ValidationError as error:
        # `from None`: the traceback of the original error would print values that came from the environment
        raise UserError(explain(error, tree, RunConfig)) from None
    config._environment = environment
    _fill_tracking(config)
    return config


def _fill_tracking(config: RunConfig) -> None:
    """The default store lies beside the output; experiment and model bear the name of the source by default."""
    if config.tracking.uri is None and not config.output_is_catalog:
        config.tracking.uri = f"sqlite:///{Path(config.output).absolute() / 'mlflow.db'}"
    if config.tracking.experiment is None:
        config.tracking.experiment = f"spark-synth/{config.source.name or 'database'}"
    if config.tracking.model is None:
        name = re.sub(r"[/:@]", "_", config.tracking.experiment.rstrip("/").rpartition("/")[2]) or "database"
        config.tracking.model = f"{config.output}.{name}" if config.output_is_catalog else name


def _apply(tree: dict[str, Any], text: str) -> None:
    """Put one "a.b=c" into the tree."""
    key, equals, value = text.partition("=")
    parts = [part.strip() for part in key.split(".")]
    if not equals or not all(parts):
        raise UserError(f"--set {text!r}: write it as option=value, such as --set train.max_minutes=5")
    if parts[:2] == ["spark", "conf"] and len(parts) > 2:  # Spark's own option names have dots in them
        parts = ["spark", "conf", ".".join(parts[2:])]
    _section(tree, parts[:-1], text)[parts[-1]] = parse_scalar(value, f"--set {text}")


def _section(tree: dict[str, Any], parts: Sequence[str], text: str) -> dict[str, Any]:
    """The mapping at that place of the tree, made where it is missing."""
    for depth, part in enumerate(parts):
        if tree.get(part) is None:
            tree[part] = {}
        if not isinstance(tree[part], dict):
            raise UserError(f"--set {text}: option '{'.'.join(parts[: depth + 1])}' holds a value, not options")
        tree = tree[part]
    return tree


def to_yaml(plain: Mapping[str, Any]) -> str:
    """Plain data, such as `resolved()`, as YAML in the order it has."""
    return str(yaml.safe_dump(dict(plain), sort_keys=False, allow_unicode=True))
