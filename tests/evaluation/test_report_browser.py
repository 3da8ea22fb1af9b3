"""The report in a real browser: nothing fails, nothing leaves the machine, and what it offers works."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser import Browser, chromium

pytestmark = pytest.mark.skipif(chromium() is None, reason="no Chromium on this machine (apt-get install chromium)")
LINKS = "[...document.querySelectorAll('a')].map(a => new URL(a.getAttribute('href'), location).href)"
LIT = "[...document.querySelectorAll('{}')].map(e => +getComputedStyle(e).opacity)"
SETTLED = "Promise.all(document.getAnimations().map(a => a.finished)).then(() => true)"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = chromium()
    assert path
    with Browser(path) as running:
        yield running


@pytest.fixture
def page(browser: Browser, small_report: Path) -> Iterator[Browser]:
    """The first page; nothing may have gone wrong when a test is over."""
    browser.errors.clear()
    browser.requests.clear()
    browser.look(1280)
    browser.open(small_report)
    yield browser
    assert browser.errors == []
    assert all(r.startswith(("file:", "data:,")) for r in browser.requests)


def opacities(page: Browser, selector: str) -> list[float]:
    """How visible elements are, once they have faded."""
    page.run(SETTLED)
    found: list[float] = page.run(LIT.format(selector))
    return found


def key(page: Browser, label: str) -> str:
    """The selector of the key of this label."""
    found = page.run(f"document.querySelector('.k[aria-label^=\"{label}\"]').dataset.k")
    return f'.k[data-k="{found}"]'


def lit(page: Browser) -> set[str]:
    """Labels of the keys that are lit."""
    return set(page.run("[...document.querySelectorAll('.k.on')].map(k => k.getAttribute('aria-label'))"))


def test_every_link_opens_without_error_or_request(page: Browser, small_report: Path) -> None:
    wanted, seen = {small_report.as_uri()}, set[str]()
    while wanted - seen:
        address = min(wanted - seen)
        seen.add(address)
        page.open(address)
        assert page.run("document.readyState == 'complete' && !!document.querySelector('h1')"), address
        assert page.run("getComputedStyle(document.body).backgroundColor") == "rgb(251, 251, 250)", address
        wanted |= {link.partition("#")[0] for link in page.run(LINKS)}
    assert len(seen) == 14 + 3


def test_pointing_at_a_key_lights_what_belongs_to_it(page: Browser) -> None:
    assert set(opacities(page, ".table")) == {1} and not lit(page)
    page.hover(key(page, "table_000: foreign key latest"))
    assert lit(page) == {"table_000: foreign key latest, refers to table_013 (id)", "table_013: primary key id"}
    assert opacities(page, ".table.on") == [1, 1]
    assert max(opacities(page, ".table:not(.on)")) < 0.5 and max(opacities(page, ".edge:not(.on)")) < 0.5
    page.hover(key(page, "table_000: primary key id"))
    children = page.run("document.querySelectorAll('.k[aria-label*=\"refers to table_000 (id)\"]').length")
    assert len(lit(page)) == children + 1 > 3
    page.hover("h1")
    assert set(opacities(page, ".table")) == {1} and not lit(page)


def test_the_keyboard_does_the_same(page: Browser) -> None:
    page.run("document.querySelector('.skip.inline').focus()")
    for _ in range(4):  # the first table's name may come before its keys
        page.press("Tab")
        if page.run("document.activeElement.classList.contains('k')"):
            break
    label = page.run("document.activeElement.getAttribute('aria-label')")
    assert label in lit(page) and max(opacities(page, ".table:not(.on)")) < 0.5
    assert page.run("getComputedStyle(document.activeElement.querySelector('rect')).stroke") != "rgba(0, 0, 0, 0)"
    page.press("Enter")
    page.press("Tab")
    page.run("document.activeElement.blur()")
    assert label in lit(page) and page.run("document.querySelectorAll('[aria-pressed=true]').length") == 1
    page.run("document.querySelector('[aria-pressed=true]').focus()")
    page.press("Escape")
    assert not lit(page) and set(opacities(page, ".table")) == {1}


def test_tables_are_found_sorted_and_enlarged(page: Browser, large_report: Path) -> None:
    width = "document.querySelector('svg.diagram').getBoundingClientRect().width"
    page.open(large_report)
    before = page.run(width)
    page.run("document.querySelector('[data-zoom=in]').click()")
    assert page.run(width) == pytest.approx(1.25 * before, rel=0.01)
    page.run(type_into(".bar[data-for=diagram] input", "TABLE_29"))
    names = page.run("[...document.querySelectorAll('.table.on')].map(t => t.dataset.name)")
    assert sorted(names) == [f"table_29{i}" for i in range(10)] and max(opacities(page, ".table:not(.on)")) < 0.5
    page.run(type_into(".bar[data-rows] input", "table_29"))
    assert page.run("[...document.querySelectorAll('#scores tbody tr')].filter(r => !r.hidden).length") == 10
    for order in (1, -1):
        page.run("document.querySelector('#scores thead th:nth-child(3) button').click()")
        cells = "[...document.querySelectorAll('#scores td:nth-child(3)')].map(c => parseFloat(c.textContent))"
        scores = [v for v in page.run(cells) if v is not None]
        assert scores == sorted(scores, reverse=order < 0) and len(scores) > 290
    took = page.run("performance.getEntriesByType('navigation')[0].domComplete")
    assert took < 5000


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1280])
def test_pages_fit_the_window(page: Browser, small_report: Path, width: int, scheme: str) -> None:
    page.look(width, scheme=scheme)
    for name in ("index.html", "privacy.html", "workload.html", "tables/table_000.html"):
        page.open(small_report.parent / name)
        assert page.run("document.documentElement.scrollWidth") <= width, name
        dark = page.run("getComputedStyle(document.body).backgroundColor") == "rgb(19, 22, 25)"
        assert dark == (scheme == "dark"), name
        assert wide(page) == [], name


def wide(page: Browser) -> Any:  # noqa: ANN401 - a list of names
    """Texts that are cut: wider than their element where nothing scrolls."""
    return page.run(
        "[...document.querySelectorAll('h1,h2,h3,p,li,dd,dt,b,figcaption,summary,nav a')].filter(e => "
        "!e.closest('.scroll,.skip') && !e.matches('.skip') && "
        "e.getBoundingClientRect().right > innerWidth + 1).map(e => e.textContent)"
    )


def type_into(selector: str, text: str) -> str:
    """A script that fills a field as a person does."""
    return (
        f"(e => {{ e.value = '{text}'; e.dispatchEvent(new Event('input')); }})(document.querySelector('{selector}'))"
    )
