"""The report as files: self-contained, safe with any name, whole without what a run did not measure, and no burden with
many tables."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spark_synth.evaluation import write_report
from spark_synth.evaluation.contents import coarse
from spark_synth.evaluation.report import files
from spark_synth.evaluation.report.keys import keys_of
from spark_synth.evaluation.report.layout import place
from tests.evaluation.made_up import ABOUT, ODD, made_up_metrics, made_up_schema

ON_TOP = ("privacy", "khop", "rules", "targets", "workload", "ceiling")


class _Page(HTMLParser):
    """Tags that are open at the end, ids, links, and whatever else would be asked for."""

    VOID = ("meta", "path", "rect", "circle", "link", "input")

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.asked: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            elif name in ("href", "src"):
                (self.links if tag == "a" else self.asked).append(value or "")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, self.getpos()


def pages(index: Path) -> dict[Path, _Page]:
    """All pages of a report, each well formed."""
    found = {p: _Page(p) for p in index.parent.rglob("*.html")}
    assert all(page.open == [] for page in found.values())
    return found


def texts(index: Path) -> str:
    """All that a report says."""
    return "\n".join(p.read_text(encoding="utf-8") for p in index.parent.rglob("*.html"))


def test_pages_are_whole_and_ask_nothing_of_the_network(small_report: Path) -> None:
    found = pages(small_report)
    assert len(found) == 14 + 3
    for path, page in found.items():
        assert set(page.asked) <= {"data:,", "style.css", "report.js", "../style.css", "../report.js"}
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"url\(|@import|https?://", text) and "<title>" in text and '<html lang="en">' in text
        assert len(page.ids) == len(set(page.ids))
    index = small_report.read_text(encoding="utf-8")
    assert "All integrity checks passed" in index and "1 min 15 s" in index
    assert "<b>night" not in index and "&lt;b&gt;night" in index
    assert "<style>" in index and found[small_report].asked == ["data:,"]  # it can be read alone, as in MLflow


def test_links_lead_somewhere(small_report: Path) -> None:
    found = pages(small_report)
    reached = set()
    for path, page in found.items():
        for link in page.links:
            file, _, part = link.partition("#")
            target = (path.parent / file).resolve() if file else path
            assert target in found, f"{path.name}: {link}"
            assert not part or part in found[target].ids, f"{path.name}: {link}"
            reached.add(target)
    assert reached == set(found)


def test_the_report_of_a_run_shows_no_rare_value(good: dict[str, Any], tmp_path: Path) -> None:
    index = write_report(good, tmp_path / "report", ABOUT)
    pages(index)
    text = texts(index)
    assert "Bergen" in text and "country: these hold the real rows" in text
    assert not re.search("Rareton|secret|person[0-9]", text)


def test_figures_of_rows_are_numbers_alone(small_report: Path) -> None:
    assert "must not be shown" not in texts(small_report)


def test_every_score_is_there(small_report: Path) -> None:
    index = small_report.read_text(encoding="utf-8")
    for shown in ("87.3", "Good", "91.2", "Very Good", "amount &lt;= size", "Over several keys", "Models learnt"):
        assert shown in index, shown
    page = (small_report.parent / "tables" / "table_000.html").read_text(encoding="utf-8")
    for shown in ("Individual", "Across tables", "Time between rows", "Singling out", "Joined with related rows"):
        assert shown in page, shown
    assert page.count('class="heat"') == 3


@pytest.mark.parametrize("left", [(), ("privacy", "workload")])
def test_what_was_not_measured_is_left_out(left: tuple[str, ...], tmp_path: Path) -> None:
    metrics = {k: v for k, v in made_up_metrics(made_up_schema(9)).items() if k not in ON_TOP or k in left}
    if "privacy" in left:
        metrics["privacy"] = {"score": 91.2, "tables": {}}
    for table in metrics["tables"].values():
        del table["detection"]
        table["pairs"] = {k: v for k, v in table["pairs"].items() if k not in ("real", "synth")}
    index = write_report(metrics, tmp_path, ABOUT)
    pages(index)
    text = index.read_text(encoding="utf-8")
    assert (
        "87.3" in text
        and ("91.2" in text) == ("privacy" in left)
        and "Models learnt" not in text
        and "C2ST</th>" not in text
    )


def test_what_was_made_up_is_told(good: dict[str, Any], tmp_path: Path) -> None:
    one = {"table": "customer", "column": "mail", "how": "Faker: email, made of the names in its row"}
    treated = [
        {**one, "unique": True, "copied": 0},
        {**one, "column": "code", "how": "codes", "unique": False, "copied": 3},
    ]
    write_report({**good, "treated": treated}, tmp_path, {"identifier": "x"})
    page = (tmp_path / "privacy.html").read_text(encoding="utf-8")
    assert page.count("What was made up") == 1
    assert re.search(r"mail</td><td>Faker: email, made of the names in its row</td><td>never twice", page)
    assert re.search(r'codes</td><td>may repeat</td><td class="n poor">3<', page)


def test_names_are_escaped_everywhere(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    schema = made_up_schema(9)
    metrics = made_up_metrics(schema)
    for table in metrics["tables"].values():
        table["columns"][evil] = table["columns"]["kind"]
        table["pairs"]["columns"][0] = evil
    name = next(iter(schema.tables))
    metrics["tables"] = {evil if t == name else t: v for t, v in metrics["tables"].items()}
    index = write_report(metrics | {"problems": [evil]}, tmp_path, ABOUT)
    pages(index)
    assert "<script>alert" not in texts(index) and "<i>x" not in texts(index)


def test_names_of_files_are_safe_and_unique() -> None:
    names = ["a b", "a_b", "A B", "a_b-2", "../up", "..", "", "nul", "x" * 300, "x" * 301, *ODD]
    found = files.file_names(names)
    assert len({f.lower() for f in found.values()}) == len(names) == len(found)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,70}\.html", f) for f in found.values())
    assert found["nul"] != "nul.html"


def test_pages_of_tables_that_are_gone_are_removed(tmp_path: Path) -> None:
    for tables in (9, 5):
        write_report(made_up_metrics(made_up_schema(tables)), tmp_path, ABOUT)
    assert len(list((tmp_path / "tables").iterdir())) == 5 and not (tmp_path / "workload.html").exists()


def test_three_hundred_tables_stay_readable(large_report: Path) -> None:
    assert large_report.stat().st_size < 1_500_000
    assert max(p.stat().st_size for p in large_report.parent.rglob("*.html")) < 1_500_000


@pytest.mark.parametrize("tables", [3, 40, 300])
def test_boxes_of_the_diagram_stand_apart_and_parents_left_of_children(tables: int) -> None:
    schema = made_up_schema(tables)
    keys = keys_of(schema, made_up_metrics(schema)["tables"])
    sizes = {t: (200.0, 30.0 + 20 * len(rows)) for t, rows in keys.own.items()}
    edges = [(r.parent, r.table) for r in keys.references]
    places, (width, height) = place(sizes, edges)
    assert set(places) == set(schema.tables) and len(edges) == sum(len(t.foreign_keys) for t in schema.tables.values())
    boxes = np.array([(*places[t], places[t][0] + sizes[t][0], places[t][1] + sizes[t][1]) for t in sizes])
    assert boxes.min() >= 0 and boxes[:, 2].max() <= width and boxes[:, 3].max() <= height
    apart = (boxes[:, None, 0] >= boxes[None, :, 2]) | (boxes[:, None, 1] >= boxes[None, :, 3])
    assert (apart | apart.T | np.eye(len(boxes), dtype=bool)).all()
    back = sum(places[a][0] >= places[b][0] for a, b in edges)
    assert back <= 2 + 0.1 * len(edges)  # the table's own key, and what closes a cycle


def test_no_bar_of_a_histogram_tells_of_few_real_rows() -> None:
    edges, bars = np.arange(25.0), np.vstack([np.eye(24)[3] * 2 + 1, np.ones(24)])
    wide, joined = coarse(edges, bars)
    assert joined.shape == (2, len(wide) - 1) and wide[0] == 0 and wide[-1] >= 24
    assert set(joined[0]) <= {5, 10} and joined[1].sum() == 24


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_of_text_can_be_read(scheme: str, small_report: Path) -> None:
    style = (small_report.parent / "style.css").read_text(encoding="utf-8")
    blocks = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    colours = dict(re.findall(r"--(\w+): (#\w+)", blocks[scheme == "dark"]))
    for text in ("ink", "soft", "link", "good", "fair", "poor", "g1", "g2", "g3", "g4", "g5"):
        for ground in ("bg", "card", "tint"):
            light, dark = sorted((_luminance(colours[text]), _luminance(colours[ground])), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 4.5, (text, ground)  # WCAG 2.2, AA


def _luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * c for c in colour[1:])
    parts = np.array([int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)])
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])
