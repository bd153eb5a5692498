"""The report: one self-contained page that escapes what it is given; in a browser it sorts, compares and names its sources."""

import json
import os
import re
import shutil
from pathlib import Path

import pytest

from cryobench import report
from cryobench.runs.record import to_json
from cryobench.runs.store import Store

COMMITTED = Path(__file__).parents[1] / "results" / "rnap_ecoli-desk"
HOSTILE = "</script><script>document.title = 'broken'</script> <img src=x onerror=alert(1)>"
BROWSER = next(
    (path for name in ("chromium", "google-chrome", "chromium-browser") if (path := shutil.which(name))), None
)
AXE = Path(os.environ.get("CRYOBENCH_AXE", "axe.min.js"))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """The committed results, and beside them a failed run whose error and config are hostile."""
    results = tmp_path_factory.mktemp("results")
    (results / "runs").mkdir()
    for folder in ("tables", "figures"):
        (results / folder).symlink_to(COMMITTED / folder)
    for run in (COMMITTED / "runs").iterdir():
        (results / "runs" / run.name).symlink_to(run)
    record = json.loads(next((COMMITTED / "runs").glob("gan-*/record.json")).read_text(encoding="utf-8"))
    record |= {"run_id": "gan-hostile", "status": "failed", "error": HOSTILE, "metrics": None}
    record |= dict.fromkeys(("wall_s", "peak_memory_mib"))  # as where the process of a run was killed twice
    record["config"]["method"]["note"] = HOSTILE
    (results / "runs" / "gan-hostile").mkdir()
    (results / "runs" / "gan-hostile" / "record.json").write_text(to_json(record), encoding="utf-8")
    return Store(results)


@pytest.fixture(scope="module")
def page(store):
    return report.write(store)


def test_it_is_one_small_file_that_asks_nothing_of_a_network(page):
    text = page.read_text(encoding="utf-8")
    assert page.stat().st_size < 10 * 2**20
    assert not re.search(r"(src|href)=[\"'](?!data:|#)", text.split('<script type="application/json"')[0])
    assert not re.search(r"@import|url\(\s*['\"]?http|fetch\(|XMLHttpRequest", text)


def test_hostile_text_of_a_config_or_an_error_is_shown_as_text(page):
    text = page.read_text(encoding="utf-8")
    assert "<script>document.title" not in text and "<img src=x" not in text
    assert "&lt;script&gt;document.title" in text
    assert "gan-hostile" in text and "1 failed run" in text


def test_the_first_screen_says_what_was_run_and_how_near_the_limit_it_came(page):
    text = page.read_text(encoding="utf-8")
    assert re.search(r"\d+ runs of \d+ methods on rnap_ecoli at desk scale", text)
    assert "the best of the paper&#39;s nets" in text


def test_an_empty_folder_makes_a_page_that_says_so(tmp_path):
    assert "No run is finished here yet" in report.write(Store(tmp_path)).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (pip install playwright)")
    if BROWSER is None:
        pytest.skip("chromium is not installed (apt-get install chromium)")
    flags = [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--no-first-run",
    ]
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=BROWSER, args=flags)
        yield running
        running.close()


@pytest.fixture
def tab(browser, page):
    """The page at phone width in the dark, with what it complained of and asked for."""
    opened = browser.new_page(viewport={"width": 390, "height": 844}, color_scheme="dark")
    opened.complaints, opened.asked = [], []
    opened.on("console", lambda message: opened.complaints.append(message.text))
    opened.on("pageerror", lambda error: opened.complaints.append(str(error)))
    opened.on("request", lambda request: opened.asked.append(request.url))
    opened.goto(page.as_uri())
    yield opened
    opened.close()


@pytest.mark.slow
def test_it_opens_quietly_and_fits_a_phone(tab, page):
    assert tab.complaints == [] and tab.title().startswith("cryobench")
    assert [url for url in tab.asked if not url.startswith("data:")] == [page.as_uri()]
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.slow
def test_a_heading_sorts_its_column(tab):
    head = tab.locator("#table2 thead th").nth(1)
    values = "[...document.querySelectorAll('#table2 tbody tr')].map(r => r.cells[1].dataset.sort).filter(Boolean).map(Number)"
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "ascending" and tab.evaluate(values) == sorted(tab.evaluate(values))
    head.locator("button").press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    assert tab.evaluate(values) == sorted(tab.evaluate(values), reverse=True)


@pytest.mark.slow
def test_the_slider_moves_between_two_methods_by_keyboard(tab):
    tab.locator("#left").select_option("noisy")
    tab.locator("#right").select_option("clean")
    before = tab.evaluate("getComputedStyle(document.getElementById('over')).clipPath")
    for _ in range(10):
        tab.locator("#share").press("ArrowRight")
    assert tab.evaluate("getComputedStyle(document.getElementById('over')).clipPath") != before
    assert tab.evaluate("document.getElementById('compare').style.getPropertyValue('--share')") == "60%"
    assert "noisy" in tab.locator("#scores").inner_text() and "clean" in tab.locator("#scores").inner_text()


@pytest.mark.slow
def test_a_number_names_its_runs_on_hover_and_its_config_on_click(tab, store):
    number = tab.locator("#table1 .number").first
    number.hover()
    hint = tab.locator("#hint").inner_text()
    run = number.get_attribute("data-runs").split()[0]
    record = store.read(run)
    assert run in hint and f"seed {record.seed}" in hint and record.environment["commit"][:12] in hint
    number.click()
    assert '"alpha"' in tab.locator("#origin pre").first.text_content()


@pytest.mark.slow
def test_no_serious_accessibility_violation(tab):
    if not AXE.is_file():
        pytest.skip("axe-core is missing: npm pack axe-core, and CRYOBENCH_AXE=package/axe.min.js")
    tab.add_script_tag(path=str(AXE))
    violations = tab.evaluate("axe.run()")["violations"]
    assert [(v["id"], v["nodes"][0]["html"]) for v in violations if v["impact"] in ("serious", "critical")] == []
