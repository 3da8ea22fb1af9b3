"""Templates of pages, and what every page holds: its style, its script, and the digest by which the script may run."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

_PACKAGE = "spark_synth.evaluation.report"


def templates() -> Environment:
    """The templates, with `style`, `script` and `digest`."""
    environment = Environment(
        loader=PackageLoader(_PACKAGE),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    script = asset("report.js")
    environment.globals |= {
        "style": Markup(asset("style.css")),
        "script": Markup(script),
        "digest": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    }
    return environment


def asset(name: str) -> str:
    """The text of a file that pages need."""
    return (files(_PACKAGE) / "assets" / name).read_text(encoding="utf-8")
