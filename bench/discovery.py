"""How well the schemas of real databases are found again; writes the tables of docs/discovery.md.

    python -m bench.discovery DIR [DIR ...]

DIR holds tables and SDV metadata, and perhaps extra_keys.json with `composite_primary_keys`. Nothing of that is shown
to discovery, which sees the tables alone. ENTITIES are labels by hand of all columns that name people or places, or
ways to reach them, in the databases that are measured.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spark_synth.config import SourceSettings, SparkSettings
from spark_synth.discovery import Proposal, propose
from spark_synth.session import build_session
from spark_synth.sources import list_tables, read_table

PAGE = Path(__file__).resolve().parents[1] / "docs" / "discovery.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
_PLACE = {"address": "street_address", "city": "city", "postal_code": "postcode", "country": "country"}
_FIRM = {"company_name": "company", "contact_name": "name", **_PLACE, "phone": "phone_number", "fax": "phone_number"}
_NAMES = {"first_name": "first_name", "last_name": "last_name"}
_CAMEL = {"FirstName": "first_name", "LastName": "last_name", "Address": "street_address", "City": "city"}
_CAMEL |= {"Country": "country", "PostalCode": "postcode", "Phone": "phone_number", "Fax": "phone_number"}
_CAMEL |= {"Email": "email"}
ENTITIES: dict[str, dict[str, dict[str, str]]] = {
    "northwind": {
        "customers": _FIRM,
        "employees": {**_NAMES, **_PLACE, "home_phone": "phone_number", "photo_path": "url"},
        "orders": {"ship_name": "company", **{f"ship_{c}": p for c, p in _PLACE.items()}},
        "shippers": {"company_name": "company", "phone": "phone_number"},
        "suppliers": {**_FIRM, "homepage": "url"},
    },
    "chinook": {
        "Customer": {**_CAMEL, "Company": "company"},
        "Employee": _CAMEL,
        "Invoice": {
            "BillingAddress": "street_address",
            "BillingCity": "city",
            "BillingCountry": "country",
            "BillingPostalCode": "postcode",
        },
    },
    "sakila": {
        "actor": _NAMES,
        "address": {"address": "street_address", "postal_code": "postcode"},  # its phones are blank
        "city": {"city": "city"},
        "country": {"country": "country"},
        "customer": {**_NAMES, "email": "email"},
        "staff": {**_NAMES, "email": "email", "username": "user_name"},
    },
    "employees": {"employee": _NAMES},
    "basketball": {
        "players": {
            "useFirst": "first_name",
            "firstName": "first_name",
            "middleName": "first_name",
            "lastName": "last_name",
            "nameGiven": "first_name",
            "fullGivenName": "name",
            "birthCity": "city",
            "birthCountry": "country",
            "hsCity": "city",
            "hsCountry": "country",
        },
        "player_allstar": _NAMES,
        "draft": {"firstName": "first_name", "lastName": "last_name"},
    },
}


@dataclass
class Tally:
    """Of the things that are there (`real`) and those that were found, how many are both, and which are not."""

    both: int = 0
    found: int = 0
    real: int = 0
    missed: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def add(self, real: Iterable[Any], found: Iterable[Any]) -> None:
        """Count one database."""
        there, told = set(real), set(found)
        self.both, self.found, self.real = (
            a + len(b) for a, b in zip((self.both, self.found, self.real), (there & told, told, there), strict=True)
        )
        self.missed += [_name(x) for x in sorted(there - told)]
        self.wrong += [_name(x) for x in sorted(told - there)]

    def shares(self) -> tuple[float, float, float]:
        """Precision, recall and F1."""
        return self.both / max(1, self.found), self.both / max(1, self.real), 2 * self.both / (self.found + self.real)


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", nargs="+", type=Path)
    sources: list[Path] = parser.parse_args().sources
    spark = build_session(SparkSettings())
    rows, total = [], {"keys": Tally(), "links": Tally(), "entities": Tally()}
    for source in sources:
        began = time.perf_counter()
        settings = SourceSettings(path=str(source))
        proposal = propose(spark, {t: read_table(spark, settings, t) for t in list_tables(spark, settings)})
        seconds = time.perf_counter() - began
        here = {name: Tally() for name in total}
        for tally in (here, total):
            _count(tally, source, proposal)
        cells = " | ".join(f"{x.both} | {x.found} | {x.real}" for x in here.values())
        rows.append(f"| {source.name} | {len(proposal.looks)} | {seconds:.0f} | {cells} |")
        sys.stderr.write(rows[-1] + "\n")
    spark.stop()
    _write(rows, total)


def _count(tallies: dict[str, Tally], source: Path, proposal: Proposal) -> None:
    metadata, extra = (_json(source / n) for n in ("metadata.json", "extra_keys.json"))
    composite = extra.get("composite_primary_keys", {})
    keys = {t: [v["primary_key"]] if v.get("primary_key") else composite.get(t) for t, v in metadata["tables"].items()}
    found = proposal.schema.tables
    tallies["keys"].add(
        {(t, tuple(sorted(k))) for t, k in keys.items() if k},
        {(t, tuple(sorted(v.primary_key))) for t, v in found.items() if v.primary_key},
    )
    ends = ("child_table_name", "child_foreign_key", "parent_table_name")
    tallies["links"].add(
        {tuple(r[e] for e in ends) for r in metadata["relationships"]},
        {(t, "+".join(fk.columns), fk.parent) for t, v in found.items() for fk in v.foreign_keys},
    )
    labels = ENTITIES.get(source.name, {})
    tallies["entities"].add(
        {(t, c, p) for t, columns in labels.items() for c, p in columns.items()},
        {(t, c, e.provider) for (t, c), e in proposal.entities.items()} if labels else (),
    )


def _json(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return found


def _name(item: tuple[Any, ...]) -> str:
    table, *rest = item
    return f"{table}: " + " -> ".join(", ".join(r) if isinstance(r, tuple) else str(r) for r in rest)


def _write(rows: list[str], total: dict[str, Tally]) -> None:
    names = {"keys": "primary keys", "links": "foreign keys", "entities": "what columns name"}
    head = "| database | tables | s | " + " | ".join(f"{names[n]}: right | found | real" for n in total) + " |"
    lines = [BEGIN, "", head, "|---" * 12 + "|", *rows, "", "| | precision | recall | F1 |", "|---|---|---|---|"]
    for n, tally in total.items():
        lines.append(f"| {names[n]} | " + " | ".join(f"{s:.3f}" for s in tally.shares()) + " |")
    for n, tally in total.items():
        for title, items in (("missed", tally.missed), ("wrong", tally.wrong)):
            lines += [f"\n{names[n].capitalize()} {title}: {'; '.join(items)}."] if items else []
    page = PAGE.read_text()
    PAGE.write_text(page.split(BEGIN)[0] + "\n".join([*lines, "", END]) + page.split(END)[1])


if __name__ == "__main__":
    main()
