"""The generator families by name, and their trained networks."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import load_file

from spark_synth.models.autoregressive import Autoregressive
from spark_synth.models.copula import Copula
from spark_synth.models.gan_level import GanLevel
from spark_synth.models.graph_vae import GraphVae
from spark_synth.models.network import GeneratorNetwork
from spark_synth.models.spec import GeneratorSpec, read_spec

_BUILT: dict[str, type[GeneratorNetwork]] = {
    "autoregressive": Autoregressive,
    "copula": Copula,
    "graph_vae": GraphVae,
    "gan": GanLevel,
}


def build(spec: GeneratorSpec) -> GeneratorNetwork:
    """A network of the spec's family, untrained."""
    return _BUILT[spec.family](spec)


def read_model(folder: Path) -> GeneratorNetwork:
    """The trained network of a folder (spec.json, weights.safetensors), on the CPU."""
    model = build(read_spec(folder))
    # Of a GAN there is the generator alone: nothing is judged any more.
    model.load_state_dict(load_file(folder / "weights.safetensors"), strict=not isinstance(model, GanLevel))
    return model
