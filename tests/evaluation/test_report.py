"""The report as a file: self-contained, safe with any name, and no burden with many tables."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from spark_synth.evaluation import write_report

ABOUT = {"identifier": "<b>night</b>", "seed": 1, "versions": {"spark": "3.5"}, "durations": {"train": 75.4}}


class _Balance(HTMLParser):
    VOID = ("meta", "path", "rect")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_asks_nothing_of_the_network(good: dict[str, Any], tmp_path: Path) -> None:
    path = write_report(good, tmp_path / "report", ABOUT)
    page = path.read_text(encoding="utf-8")
    parser = _Balance()
    parser.feed(page)
    assert parser.open == []
    assert not re.search(r"(src|href)\s*=\s*[\"'](?!#)|url\(|@import|<script", page)
    assert "All integrity checks passed" in page and "1 min 15 s" in page
    assert "country: these hold the real rows" in page
    assert "<b>night" not in page and "&lt;b&gt;night" in page


def test_links_lead_somewhere(good: dict[str, Any], tmp_path: Path) -> None:
    page = write_report(good, tmp_path, ABOUT).read_text(encoding="utf-8")
    targets = re.findall(r'href="#([^"]+)"', page)
    assert len(targets) == 3 and all(f'id="{t}"' in page for t in targets)


def test_names_are_escaped_everywhere(good: dict[str, Any], tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    table = good["tables"]["customer"]
    renamed = {evil if c == "größe" else c: v for c, v in table["columns"].items()}
    pairs = table["pairs"] | {"columns": [evil if c == "größe" else c for c in table["pairs"]["columns"]]}
    tables = good["tables"] | {evil: table | {"columns": renamed, "pairs": pairs}}
    page = write_report(good | {"tables": tables, "problems": [evil]}, tmp_path, ABOUT).read_text(encoding="utf-8")
    assert "<script" not in page


def test_three_hundred_tables_stay_readable(good: dict[str, Any], tmp_path: Path) -> None:
    tables = {f"{t} {i}": v for i in range(100) for t, v in good["tables"].items()}
    path = write_report(good | {"tables": tables}, tmp_path, ABOUT)
    assert path.stat().st_size < 5_000_000
    assert "<details open>" not in path.read_text(encoding="utf-8")
