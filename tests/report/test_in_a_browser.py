"""Reports as a browser shows and prints them."""

import pytest

from hpsearch import report
from hpsearch.errors import SpecError
from hpsearch.report.pdf import find_browser
from hpsearch.testing.searched import make_searched

from .evil import EVIL, artifacts, evil_record


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    try:
        path = find_browser()
    except SpecError as error:
        pytest.skip(error.what)
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=path,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--enable-unsafe-swiftshader"],
        )
        yield chromium
        chromium.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.slow
def test_page_in_a_browser(browser, tmp_path, scheme):
    record = evil_record()
    path = report.write(record, tmp_path, artifacts(record))
    page = browser.new_page(color_scheme=scheme, viewport={"width": 1200, "height": 900})
    trouble: list[str] = []
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("dialog", lambda dialog: (trouble.append(f"dialog {dialog.message}"), dialog.dismiss()))
    page.on("request", lambda request: trouble.append(request.url) if request.url.startswith("http") else None)
    page.goto(path.as_uri(), timeout=120_000)  # a busy machine
    page.wait_for_function("document.querySelectorAll('.main-svg').length > 10")
    assert page.inner_text("h1") == EVIL
    empty = "[...document.querySelectorAll('.figure')].filter(f => !f.querySelector('.main-svg')).map(f => f.id)"
    assert page.evaluate(empty) == []
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert paper == {"light": "rgb(255, 255, 255)", "dark": "rgb(18, 22, 29)"}[scheme]
    ink = page.evaluate("document.querySelector('.figure').layout.font.color")
    assert ink == {"light": "#3d4756", "dark": "#c6cedb"}[scheme]
    assert trouble == []
    page.close()


@pytest.mark.slow
def test_nothing_is_cut_and_plots_stand_beside_the_verdict_where_there_is_room(browser, tmp_path):
    path = report.write(make_searched(20), tmp_path)
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto(path.as_uri(), timeout=120_000)  # a busy machine
    page.wait_for_function("document.querySelector('#figure-trajectory .main-svg')")
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 800})
        page.wait_for_function("document.documentElement.scrollWidth <= innerWidth")  # once figures have followed
        lead, plot = (page.locator(one).first.bounding_box() for one in (".lead", "#figure-trajectory"))
        beside = plot["x"] > lead["x"] + lead["width"] and plot["y"] < 400
        assert beside == (width == 1280)
        first = page.locator(".board td").first
        before = first.bounding_box()["x"]
        page.locator(".board").evaluate("element => { element.scrollLeft = 200 }")
        assert page.locator(".board").evaluate("element => element.scrollLeft") > 0
        assert first.bounding_box()["x"] == before, "the first column stays"
    page.close()


@pytest.mark.slow
def test_pdf(browser, tmp_path):
    path = report.write(make_searched(12), tmp_path, format="pdf")
    assert path.read_bytes().startswith(b"%PDF")
    assert path.stat().st_size > 50_000
