"""The report: one self-contained page that escapes what it is given; in a browser it sorts, compares and names its sources."""

import csv
import html
import json
import os
import re
import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from cryobench.experiments import fig2_gallery, fig2_lambda, table2, table_clustering, table_pggan, table_stability

from cryobench import figure, report
from cryobench.config.compose import compose, resolve
from cryobench.config.identity import run_id
from cryobench.methods.base import SIDE_INFORMATION
from cryobench.printed import short
from cryobench.report import captions, findings, links, lowest, markdown, methods, plots, summary, tables, told
from cryobench.runs.record import Record, to_json
from cryobench.runs.store import Store
from cryobench.tables import frame, limits, table
from cryobench.tables.molecules import MOLECULES

COMMITTED = Path(__file__).parents[1] / "results" / "rnap_ecoli-desk"
CONF = Path(__file__).parents[1] / "conf"
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


def test_it_opens_with_at_most_ten_findings_whose_numbers_are_those_of_the_tables(page):
    text = page.read_text(encoding="utf-8")
    lead = re.search(r'<ul class="lead">(.*?)</ul>', text, re.S)[1]
    findings = [html.unescape(re.sub(r"<[^>]*>", "", line)) for line in re.findall(r"<li>(.*?)</li>", lead, re.S)]
    assert 6 <= len(findings) <= 10
    assert re.match(r"\d+ runs of \d+ methods, of controls and limits on rnap_ecoli at desk scale", findings[0])
    with open(COMMITTED / "tables" / "table2.csv", encoding="utf-8", newline="") as lines:
        times = {
            (one["row"], one["snr"]): float(one["mean"])
            for one in csv.DictReader(lines)
            if one["metric"] == "times_bayes"
        }
    (classical,) = (line for line in findings if line.startswith("Of the paper's classical methods"))
    name = re.search(r"lowest MSE is that of ([\w -]+?) \(", classical)[1]
    assert f"{times[name, '0.1']:.3g} × limit at SNR 0.1" in classical
    assert times[name, "0.1"] == min(times[row, "0.1"] for row in ("BM3D", "KSVD", "Non-local means", "CWF"))


def test_it_says_what_was_imaged_and_that_the_papers_molecule_is_another(page, tmp_path):
    def said(text):
        return html.unescape(
            re.sub(r"<[^>]*>", "", re.search(r"What was found</h2>\s*<p>(.*?)</p>", text, re.S)[1])
        ).strip()

    assert said(page.read_text(encoding="utf-8")) == (
        "Images: the RNA polymerase of E. coli, its clamp open to closed (rnap_ecoli, desk scale); 64 × 64 px of 3.2 Å, 4,000 "
        "to train on and 500 to test; nets of width 16, trained for 6 epochs. The paper's are of another molecule, the RNA "
        "polymerase of T. aquaticus (data=rnap): 128 × 128 px, 25,000 to train on; nets of width 64, trained for 20 epochs "
        "(scale=paper)."
    )
    for data, others in (("rnap", False), ("mine", False), ("phantom", True)):
        config = resolve(compose(["method=nlm", "scale=desk"]))
        config["data"]["name"] = data
        store = Store(tmp_path / data)
        keep(store, config, 0.1)
        text = said(report.write(store).read_text(encoding="utf-8"))
        assert (
            f"{data}, desk scale" in text
            and "4,000 to train on" in text
            and "nets" not in text.partition("The paper's")[0]
        )
        assert ("of another molecule" in text) == others and ("the paper's molecule" in text) == (data == "rnap")


def test_each_shipped_data_set_is_told_in_words():
    names = {
        re.search(r"^ *name: (\w+)", file.read_text("utf-8"), re.M)[1]
        for file in CONF.glob("data/*.yaml")
        if not file.name.startswith("_")
    }
    assert names == set(MOLECULES)


def test_a_method_that_a_finding_names_is_told_in_the_readmes_words_and_once(page):
    """Each shipped method has such words, but controls."""
    text = html.unescape(re.sub(r"<[^>]*>", "", page.read_text(encoding="utf-8")))
    lead = text.split("What was found")[2].split("Methods")[0]
    for method in ("abinitio", "wiener", "cwf"):
        assert lead.count(f"({methods.IN_SHORT[method]})") == 1
    readme = (COMMITTED.parents[1] / "README.md").read_text(encoding="utf-8")
    assert all(methods.IN_SHORT[method] in readme for method in ("refined", "exemplar", "abinitio", "wiener"))
    names = {file.stem for file in CONF.glob("method/*.yaml") if not file.name.startswith("_")}
    assert names - set(methods.IN_SHORT) == limits.NO_METHODS - {"bayes"}


def test_a_method_below_the_limit_is_named_once_with_its_noise_levels():
    cells = {
        snr: table.Cell("x", snr, "mse", (0.9,), ("x-1",), None, None, None, floors={"bayes": (1.0,)})
        for snr in (0.1, 0.05)
    }
    limit = replace(cells[0.1], values=(1.0,))
    ranked = [summary.Row("x", cells, "x", False, ()), summary.Row("Bayes limit", {0.1: limit}, "bayes", False, ())]
    assert "; x at SNR 0.1 and 0.05 comes out at or below it here, by chance." in lowest.limit(ranked, [0.1, 0.05])


def test_a_multiple_of_fewer_seeds_than_the_limit_has_is_marked():
    """Its MSE may be below the limit's mean where the multiple, seed by seed, is above 1."""
    cell = table.Cell(
        "x", 0.1, "mse", (1.1, 2.1, 3.1), ("x-1",) * 3, None, None, None, floors={"bayes": (1.0, 2.0, 3.0)}
    )

    def mark(number: int) -> str:
        some = replace(cell, values=cell.values[:number], floors={"bayes": cell.floors["bayes"][:number]})
        return summary.cell(summary.Row("x", {0.1: some}, "x", False, ()), 0.1, False, 3)["times"][-1]

    assert mark(1) == "¹" and mark(2) == "²" and mark(3).isdecimal()


def test_a_row_that_is_lower_under_more_noise_with_every_seed_is_told(page):
    """Of the committed ones it is `exemplar` at 128 px (results/README.md) and the U-Net that it guides, and none at 64 px."""
    assert not re.search("With every seed the MSE of", page.read_text(encoding="utf-8"))
    large = summary.shown(frame.frame(Store(COMMITTED.parent / "rnap_ecoli-desk128").all()))
    assert large["lower"] == ["U-Net + exemplar", "exemplar"]


def test_a_file_that_a_text_names_is_a_link_where_it_leads_anywhere(tmp_path):
    """A table, to its place on the page; a page of the documentation, to the file where the report lies in a checkout."""
    text = (
        "As docs/statistics.md and tables/scale_up.md say; tables/no.md and docs/no.md are none. `docs/statistics.md`"
    )
    for folder, docs in ((COMMITTED, "../../docs/statistics.md"), (tmp_path, "")):
        (tmp_path / "tables").mkdir(exist_ok=True)
        (tmp_path / "tables" / "scale_up.md").touch()
        shown = markdown.rendered(text, "T", links.of([Store(folder)]))
        assert re.findall(r'<a href="(.*?)">(.*?)</a>', shown) == [
            *([(docs, "docs/statistics.md")] if docs else []),
            ("#scale_up", "tables/scale_up.md"),
        ]


def test_rows_of_several_names_have_a_heading_for_each_block_and_one_cell(tmp_path):
    """So that on a phone, where only the first column stays, it tells which row it is."""
    text = "| claim | better | than | answer |\n| - | - | - | - |\n| a | x | y | holds |\n| a | x | z | no |\n"
    shown = re.sub(r' (role|data-of)="[^"]*"', "", markdown.rendered(text, "T"))
    assert "claim: a</div></th></tr>" in shown and shown.count("<tbody>") == 1
    assert '<th scope="row">x<small>than: z</small></th><td class="text"><span>no</span></td>' in shown
    assert '<th scope="col">better, than</th><th scope="col" class="text">answer</th>' in shown


def test_the_best_value_of_a_column_is_marked_and_no_limit_or_control_is(page):
    methods = re.search(r'<table class="sortable" id="methods">.*?</table>', page.read_text(encoding="utf-8"), re.S)[0]
    rows = re.findall(r"<tr.*?</tr>", methods.split("<tbody>")[1], re.S)
    pattern = r'<td data-sort="([^"]*)" class="([^"]*)"|<td data-sort="([^"]*)">'
    columns = list(zip(*(re.findall(pattern, row) for row in rows), strict=True))
    assert len(columns) == 4
    able = [not re.match(r'<tr class="(limit|control)"', row) for row in rows]
    for column in columns:
        values = [(float(a or c or "inf"), "best" in b, fits) for (a, b, c), fits in zip(column, able, strict=True)]
        best = min(value for value, _, fits in values if fits)
        assert all(marked == (value == best and fits) for value, marked, fits in values)


def test_the_side_information_named_there_is_explained_there(page):
    text = page.read_text(encoding="utf-8")
    section = text.split('<section id="findings"')[1].split("</section>")[0]
    used = {word for note in re.findall(r"<small>([^<]+)</small>", section) for word in note.split(", ")}
    explained = dict(re.findall(r"<i>(\w+)</i>, ([^;.<]+)", section))
    assert used and {word: explained.get(word) for word in used} == {word: SIDE_INFORMATION[word] for word in used}


def test_every_method_of_the_first_table_is_told_in_a_line_by_the_names_that_are_typed_and_printed(page):
    text = html.unescape(page.read_text(encoding="utf-8"))
    told = dict(
        re.findall(
            r"<li><code>(\w+)</code>(.*?)</li>",
            text.split("What each method is, and what names mean")[1].split("</ul>")[0],
        )
    )
    rows = frame.frame(Store(COMMITTED).all())
    assert set(told) == set(rows["method"]) - {"oracle"}
    assert told["bayes"].startswith(" (Bayes limit): Control: the limit. Posterior mean")
    assert "Needs" not in told["bm3d"]


def test_days_and_numbers_with_units_stay_on_one_line():
    for whole in ("2026-11-26", "25.30(0.05)", "37.0 × linear limit", "SNR 0.05", "5 %", "(.5,-.5)-GAN"):
        assert markdown.unbroken(f"a {whole} b") == f'a <span class="n">{whole}</span> b'
    assert markdown.unbroken("† |α−β| ≥ 1: k = 2") == '<span class="n">† |α−β| ≥ 1</span>: <span class="n">k = 2</span>'
    cell = markdown.rendered('| a |\n| --- |\n| [x 3e-4 <b>](http://e/2026-01-01 "25.30(0.05)") `1e-3` **2e-5** |', "T")
    assert '<a href="http://e/2026-01-01" title="25.30(0.05)">x <span class="n">3e-4</span> &lt;b&gt;</a>' in cell
    assert '<code>1e-3</code> <strong><span class="n">2e-5</span></strong>' in cell
    assert "5\u00a0% of 3" in markdown.rendered("A loss of 5 % of 3.", "T")
    assert markdown.rendered("It has 3.97e-3 there.", "T") == '<p>It has <span class="n">3.97e-3</span> there.</p>\n'


def test_a_verdict_stands_before_its_reason_too():
    """On a phone the verdict's own column may be off the screen."""
    reason = "a reason that is longer than forty letters, so it has no column"
    table = markdown.rendered(f"| row | verdict | why |\n| --- | --- | --- |\n| x | agrees | {reason} |", "T")
    assert f"<b>agrees: why:</b> {reason}" in table
    assert "<b>why:</b>" in markdown.rendered(f"| row | why |\n| --- | --- |\n| x | {reason} |", "T")


def test_a_method_of_ones_own_has_its_row_and_its_images(tmp_path, monkeypatch):
    """In the first table, in Table 2 and in the gallery, each setting apart."""
    (tmp_path / "mine_reported.py").write_text("class Blur:\n    def __init__(self, width): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    store = Store(tmp_path)
    for words, mse in ((["method=noisy"], 0.3), (["method=nlm"], 0.05), (["method=wiener"], 0.015)):
        keep(store, resolve(compose(words)), mse)
    for width in (1.0, 2.0):
        config = resolve(compose(["method=nlm"]))
        config["method"] = {"name": "blur", "_target_": "mine_reported.Blur", "width": width}
        keep(store, config, width / 100)
    text = report.write(store).read_text(encoding="utf-8")
    methods = re.search(r'id="methods">.*?</table>', text, re.S)[0]
    found = re.findall(r'<th scope="row">([^<]+?)\s*<', methods)
    assert found == ["blur width=1.0", "Linear limit", "blur width=2.0", "Non-local means", "noisy"]
    data = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)[1])
    assert [one["name"] for one in data["gallery"]["0.1"]] == ["noisy", *found[:4]]
    table2.write(store)
    rows = {line.split(",")[0] for line in (tmp_path / "tables" / "table2.csv").read_text("utf-8").splitlines()}
    assert {"blur width=1.0", "blur width=2.0"} <= rows


def test_the_gallery_is_sorted_by_mse_and_says_what_the_limit_is_the_lowest_of(tmp_path):
    """Also where one image is nearer to the truth than the limit's."""
    store = Store(tmp_path)
    for method, mse in (("oracle", 0.0), ("exemplar", 0.009), ("noisy", 0.3), ("bayes", 0.01), ("nlm", 0.02)):
        keep(store, resolve(compose([f"method={method}"])), mse)
    runs = frame.frame(store.all())
    found = frame.by_row(frame.chosen(runs, frame.sweep_rows("methods")).runs)
    order = fig2_gallery.ordered(store, found)
    assert order == ["oracle", "noisy", "Non-local means", "exemplar", "Bayes limit"]
    assert fig2_gallery.name(store, order[-1], found) == "Bayes limit,\nlowest on average"
    del found["exemplar"]
    assert fig2_gallery.name(store, order[-1], found) == "Bayes limit"


def keep(store, config, mse):
    name = run_id(config)
    values = {metric: {"mean": mse, "std": 0.0} for metric in ("mse", "psnr", "ssim")}
    folder = store.begin(name)
    np.savez(folder / "gallery.npz", denoised=np.linspace(0, mse, 128, dtype=np.float16).reshape(2, 8, 8))
    store.finish(
        name, Record(name, "done", config, 0, metrics=values, per_image={"mse": [mse, mse]}, started="2026-01-01")
    )


def test_every_figure_has_a_sentence_for_a_title_and_the_rest_stands_below_it(page):
    names = {file.stem for file in (COMMITTED / "figures").iterdir()}
    assert names and not [name for name in names if "called" in captions.caption(name)[0]]
    text = page.read_text(encoding="utf-8")
    plots, shown = (text.split(f'id="{part}"')[1].split("</section>")[0] for part in ("plots", "figures"))
    titles = [html.unescape(one) for one in re.findall(r"<summary>([^<]*)</summary><figure>", plots + shown)]
    assert len(titles) == len(names) + 3
    for title in titles:
        assert title[0].isupper() and title.endswith(".") and title.count(". ") == 0 and "_" not in title
        assert len(title) < 120
    rest = html.unescape(shown)
    for _, more in map(captions.caption, names):
        assert not more or f"</div><figcaption>{more}</figcaption>" in rest


@pytest.mark.parametrize(
    ("snr", "names"),
    [
        (table_stability.SNR, ["fig1_stability"]),
        (fig2_lambda.SNR, ["fig2_lambda"]),
        (0.1, ["fig2_gallery_snr0.1", "contamination_snr0.1", "trust_gan"]),
        (table_clustering.SNR, ["fig3_clustering", "fig3_clustering_fixed_view"]),
        (table_pggan.SNR, ["fig4_pggan", "fig4_pggan_training"]),
    ],
)
def test_a_caption_names_the_snr_of_its_figure(snr, names):
    assert not [name for name in names if not re.search(rf"SNR {snr:g}\b", captions.caption(name)[0])]


@pytest.mark.parametrize(("low", "high"), [(3.1e-3, 0.04), (5.8e-4, 0.5), (2e-3, 9e-3), (9.1e-3, 1.1e-2)])
def test_the_ticks_of_the_curves_enclose_them(low, high):
    axis = figure.new(5.0, 5.0).subplots()
    axis.plot([1, 2], [low, high])
    axis.set_yscale("log")
    plots.enclosing_ticks(axis.yaxis, low, high)
    bottom, top = axis.get_ylim()
    shown = [tick for tick in axis.get_yticks() if bottom * 0.999 <= tick <= top * 1.001]
    assert shown[0] <= low <= shown[1] and shown[-2] <= high <= shown[-1]


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


SCREENS = {390: (844, "dark"), 768: (1024, "light"), 1440: (900, "light")}  # width: height, and a colour scheme


@pytest.fixture
def width():
    return 390


@pytest.fixture
def tab(browser, page, width):
    """The page on a screen of this width, with what it complained of and asked for."""
    height, scheme = SCREENS[width]
    opened = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
    opened.complaints, opened.asked = [], []
    opened.on("console", lambda message: opened.complaints.append(message.text))
    opened.on("pageerror", lambda error: opened.complaints.append(str(error)))
    opened.on("request", lambda request: opened.asked.append(request.url))
    opened.goto(page.as_uri())
    yield opened
    opened.close()


UNFOLD = "document.querySelectorAll('main details').forEach((one) => (one.open = true))"
MEASURES = """() => {
  const height = (one) => one.getBoundingClientRect().height;
  const line = (one) => parseFloat(getComputedStyle(one).lineHeight);
  return {
    wide: document.documentElement.scrollWidth,
    rows: [...document.querySelectorAll("tbody tr")].map(height),
    broken: [...document.querySelectorAll(".n, .number")].filter((one) => height(one) > 1.6 * line(one)).length,
  };
}"""


@pytest.mark.slow
@pytest.mark.parametrize("width", SCREENS)
def test_it_fits_the_screen_all_of_it_opened(tab, width):
    """No sideways scrolling of the page, no row higher than a quarter of the screen, no number on two lines."""
    tab.evaluate(UNFOLD)
    measured = tab.evaluate(MEASURES)
    assert measured["wide"] <= width and measured["broken"] == 0
    assert len(measured["rows"]) > 400 and max(measured["rows"]) < SCREENS[width][0] / 4


@pytest.mark.slow
@pytest.mark.parametrize("width", SCREENS)
def test_a_long_heading_takes_several_lines_within_its_column(tab, width):
    tab.evaluate(UNFOLD)
    over = "[...document.querySelectorAll('th.long')].map(th => th.scrollWidth - th.clientWidth)"
    assert (found := tab.evaluate(over)) and max(found) <= 1


@pytest.mark.slow
@pytest.mark.parametrize("width", SCREENS)
def test_the_first_sight_is_a_few_screens_long(tab, width):
    """With its pictures, all of which are laid out; folded parts are not."""
    assert tab.evaluate("document.documentElement.scrollHeight") < 18 * SCREENS[width][0]


@pytest.mark.slow
@pytest.mark.parametrize("width", SCREENS)
def test_the_contents_follow_the_scroll(tab):
    current = "document.querySelector('#contents [aria-current]').hash"
    assert tab.evaluate(current) == "#findings"
    for name in ("table2", "figures", "gallery"):
        tab.evaluate(f"document.getElementById('{name}').scrollIntoView()")
        tab.wait_for_function(f"{current} === '#{name}'")
        shown = tab.locator("#contents [aria-current]" if tab.viewport_size["width"] > 1000 else "#here")
        box = shown.bounding_box()
        assert 0 <= box["x"] and box["x"] + box["width"] <= tab.viewport_size["width"] and 0 <= box["y"] < 900
        assert tab.locator("#contents [aria-current]").text_content() in shown.text_content()


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 768])
def test_on_a_small_screen_the_contents_are_a_list_that_folds_and_leaves_the_page_in_sight(tab, width):
    height, fold, entries = SCREENS[width][0], tab.locator("#contents summary"), tab.locator("#contents a")
    assert not entries.first.is_visible() and fold.bounding_box()["height"] < 50
    fold.press("Enter")
    boxes = [one.bounding_box() for one in entries.all()]
    assert len(boxes) > 15 and all(one["y"] + one["height"] <= two["y"] + 1 for one, two in pairwise(boxes))
    listed = tab.locator("#contents .list").bounding_box()
    assert listed["x"] >= 0 and listed["width"] <= width and listed["y"] + listed["height"] < 0.7 * height
    tab.keyboard.press("Escape")
    assert not entries.first.is_visible() and fold.evaluate("(one) => one === document.activeElement")
    fold.click()
    tab.locator("#contents a[href='#table3']").click()
    assert not entries.first.is_visible()
    tab.wait_for_function("document.querySelector('#here').textContent.includes('Table 3: λ')")
    assert tab.locator("#table3-title").bounding_box()["y"] >= fold.bounding_box()["height"]
    fold.click()
    tab.locator("#table3-title").click()
    assert not entries.first.is_visible()


@pytest.mark.slow
def test_all_of_it_is_reached_and_opened_by_keyboard(tab):
    """The skip link first; a folded table opens with Enter, and a link of the contents opens what it leads to."""
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.className") == "skip"
    folded = tab.locator("#published_cells details.whole > summary")
    folded.focus()
    assert not tab.evaluate("document.querySelector('#published_cells details').open")
    tab.keyboard.press("Enter")
    assert tab.evaluate("document.querySelector('#published_cells details').open")
    tab.locator("#contents summary").press("Enter")
    tab.locator("#contents a[href='#released']").press("Enter")
    tab.wait_for_function("document.querySelector('#released details').open")
    reachable = "[...document.querySelectorAll('.wide:not(.picture), main summary, .number')].every((one) => one.tabIndex === 0)"
    assert tab.evaluate(reachable)


@pytest.mark.slow
def test_sentences_stay_under_their_row_when_a_column_is_sorted(tab):
    tab.evaluate(UNFOLD)
    pairs = """() => [...document.querySelectorAll('#published_cells tr.more')].map(
      (one) => one.previousElementSibling.textContent + one.textContent).sort()"""
    before = tab.evaluate(pairs)
    tab.locator("#published_cells table").last.locator("thead th button").nth(3).click()
    assert len(before) > 100 and tab.evaluate(pairs) == before


@pytest.mark.slow
def test_a_row_of_the_claims_and_its_answer_are_on_a_phones_screen_together_and_sorting_keeps_its_block(tab):
    tab.evaluate(UNFOLD)
    rows = "[...document.querySelectorAll('#claims tr.group ~ tr:not(.group)')]"
    assert tab.evaluate(f"{rows}.length") > 90
    right = tab.evaluate(f"Math.max(...{rows}.map((row) => row.cells[1].getBoundingClientRect().right))")
    assert right <= 390 and "baseline: " in tab.locator("#claims tr.group + tr th").first.inner_text()
    blocks = "[...document.querySelectorAll('#claims tbody')].map((one) => [...one.rows].map((row) => row.textContent).sort())"
    before = tab.evaluate(blocks)
    tab.locator("#claims table").last.locator("thead th button").nth(2).click()
    assert tab.evaluate(blocks) == before and len(before) > 10
    assert tab.evaluate(
        "[...document.querySelectorAll('#claims tr.group')].every((one) => one.rowIndex && !one.previousElementSibling)"
    )


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 768])
def test_where_columns_do_not_fit_each_row_is_a_card_that_names_them(tab, width):
    """Nothing of such a table is off the screen; as wide as it needs, it is a table again."""
    tab.evaluate(UNFOLD)
    off = "[...document.querySelectorAll('.wide:has(> .foldable)')].filter((one) => one.scrollWidth > one.clientWidth + 1)"
    tab.wait_for_function(f"{off}.length === 0 && document.querySelector('.cards')")
    card = tab.locator("#claims .cards").last
    label = "getComputedStyle([...document.querySelectorAll('#claims .cards')].at(-1).querySelector('td'), '::before').content"
    heads = card.locator("thead button").all_inner_texts()
    assert tab.evaluate(label).strip('"') in heads and card.locator("td").first.get_attribute("data-of") in heads
    assert tab.locator("table.foldable:not(.cards)").count()
    tab.set_viewport_size({"width": 1440, "height": 900})
    tab.wait_for_function("!document.querySelector('.cards')")


CROSSED = """() => {
  const wrong = [];
  for (const cell of document.querySelectorAll(".cards tbody tr:not(.more, .group) > *")) {
    const box = cell.getBoundingClientRect();
    const texts = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
    const range = document.createRange();
    let out = cell.scrollWidth > cell.clientWidth + 1;
    while (texts.nextNode()) {
      range.selectNodeContents(texts.currentNode);
      for (const one of range.getClientRects())
        out ||= one.left < box.left - 1 || one.right > box.right + 1 || one.top < box.top - 2 || one.bottom > box.bottom + 2;
    }
    const next = cell.nextElementSibling?.getBoundingClientRect();
    const near = next?.width && next.top < box.bottom - 1 && next.left < box.right + 8;
    const label = parseFloat(getComputedStyle(cell, "::before").height) || 0;
    const apart = cell.matches("td") && box.width ? cell.firstElementChild.getBoundingClientRect().top - box.top - label : 0;
    if (out || near || apart > 4) wrong.push([cell.closest("section").id, cell.textContent, out, near, apart]);
  }
  return wrong;
}"""


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 768])
def test_in_a_card_no_text_leaves_its_cell_or_runs_into_another_and_a_value_is_next_to_its_label(tab):
    tab.evaluate(UNFOLD)
    tab.wait_for_function("document.querySelectorAll('.cards').length > 8")
    assert tab.evaluate(f"({CROSSED})()") == []


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1440])
def test_the_headings_of_a_long_table_stay_and_hide_no_row_that_one_jumps_to(tab, width):
    """Without a box of its own, where the table fits."""
    tab.evaluate(UNFOLD)
    top = 0 if width > 1000 else tab.locator("#contents").bounding_box()["height"]
    tables = tab.locator("table:not(.cards):has(tbody tr:nth-child(11))").all()
    assert len(tables) > (10 if width > 1000 else 0)
    for one in tables:
        one.locator("tbody tr").nth(8).evaluate("(row) => row.scrollIntoView()")
        head, row = (one.locator(place).nth(at).bounding_box() for place, at in (("thead th", 0), ("tbody tr", 8)))
        assert abs(head["y"] - top) < 2 and row["y"] >= head["y"] + head["height"] - 1
        assert one.evaluate("(one) => one.parentElement.scrollHeight <= one.parentElement.clientHeight + 1")
    # upwards by keyboard, too
    tab.locator("#methods tbody tr").last.evaluate("(row) => row.scrollIntoView({ block: 'end' })")
    tab.evaluate("window.scrollBy(0, 300)")
    numbers = [one for one in tab.locator("#methods .number").all() if one.is_visible()]
    numbers[-1].focus()
    head = tab.locator("#methods thead th").first
    for _ in numbers[:-1]:
        tab.keyboard.press("Shift+Tab")
        low = tab.evaluate("document.activeElement.getBoundingClientRect().top")
        assert low >= head.bounding_box()["y"] + head.bounding_box()["height"] - 1


@pytest.mark.slow
@pytest.mark.parametrize("width", [1440])
def test_a_table_uses_the_width_that_there_is_before_it_scrolls(tab, width):
    tab.evaluate(UNFOLD)
    tab.wait_for_function("document.querySelector('.dense')")
    assert tab.evaluate("[...document.querySelectorAll('.boxed')].map((one) => one.closest('section').id)") == []
    assert tab.locator("#leaderboard .wide").first.bounding_box()["width"] > 0.8 * width
    tab.set_viewport_size({"width": 1110, "height": 500})
    box = tab.locator("#leaderboard .boxed").first
    box.evaluate("(one) => (one.scrollIntoView(), one.scrollTo(0, 150))")
    head, inside = (one.bounding_box() for one in (box.locator("thead th").nth(1), box))
    assert box.evaluate("(one) => one.scrollTop") == 150 and abs(head["y"] - inside["y"]) < 2


@pytest.mark.slow
@pytest.mark.parametrize("width", [1440])
def test_texts_stand_at_the_left_of_their_column_and_numbers_at_the_right(tab):
    tab.evaluate(UNFOLD)
    aligned = """(text) => [...document.querySelectorAll('td[data-of]')].filter((cell) => text.test(cell.innerText))
      .map((cell) => getComputedStyle(cell).textAlign)"""
    texts = tab.evaluate(aligned.replace("text.test", "/^(undecided|holds|reversed|agrees|worse|clean)/.test"))
    numbers = tab.evaluate(aligned.replace("text.test", "/^[+−]?[0-9]/.test"))
    assert len(texts) > 100 and set(texts) == {"left"} and len(numbers) > 500 and set(numbers) == {"right"}


@pytest.mark.slow
@pytest.mark.parametrize("width", SCREENS)
def test_a_picture_is_seen_whole_and_a_click_or_a_key_enlarges_what_was_made_smaller(tab, width):
    """What happens is told above it; where it is as large as it is, there is nothing to tell."""
    tab.evaluate(UNFOLD)
    shown = tab.locator("figure .picture")
    assert shown.count() > 10
    for box in shown.all():
        image, button = box.locator("img"), box.locator("button")
        image.evaluate("(one) => ((one.loading = 'eager'), one.decode())")
        natural = image.evaluate("(one) => one.naturalWidth")
        tab.wait_for_function(
            "(one) => one.disabled === (one.querySelector('img').naturalWidth <= one.clientWidth + 1)",
            arg=button.element_handle(),
        )
        placed = image.bounding_box()
        assert placed["x"] >= 0 and placed["x"] + placed["width"] <= width and placed["height"] > 50
        hint = box.evaluate("(one) => one.previousElementSibling?.textContent ?? ''")
        assert ("larger" in hint) == button.is_enabled() == (natural > placed["width"] + 1)
        if button.is_enabled():
            button.press("Enter")
            assert abs(image.bounding_box()["width"] - natural) <= 1 and button.get_attribute("aria-pressed") == "true"
            assert "whole" in box.evaluate("(one) => one.previousElementSibling.textContent")
            assert tab.evaluate("document.documentElement.scrollWidth") <= width
            button.press("Enter")
            assert image.bounding_box() == {**placed, "y": image.bounding_box()["y"]}


@pytest.mark.slow
@pytest.mark.parametrize("width", SCREENS)
def test_letters_of_a_plot_can_be_read_on_every_screen(tab, width):
    """The smallest are of nine points, which are twelve pixels where a picture is shown as large as it is."""
    tab.evaluate(UNFOLD)
    images = tab.locator("#plots img").all()
    assert images
    for image in images:
        image.evaluate("(one) => one.decode()")
        assert 12 * image.bounding_box()["width"] / image.evaluate("(one) => one.naturalWidth") >= 8


@pytest.mark.slow
@pytest.mark.parametrize("width", SCREENS)
def test_the_tint_of_the_best_value_is_seen(tab):
    """In light and dark: a ratio of 1.2 to the page is about a step of grey on a common screen."""
    ratio = """() => {
      const light = (one) => { const parts = getComputedStyle(one).backgroundColor.match(/[0-9]+/g).slice(0, 3)
        .map((part) => part / 255).map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2] + 0.05; };
      const [one, two] = [light(document.querySelector("td.best")), light(document.body)];
      return Math.max(one / two, two / one);
    }"""
    assert tab.evaluate(ratio) > 1.2


@pytest.mark.slow
@pytest.mark.parametrize("width", SCREENS)
def test_what_sorts_is_said_as_it_is(tab, width):
    words = tab.locator("#table1 .in-columns")
    tab.wait_for_function("document.querySelector('#table1 .fits')")
    assert words.is_visible() == (tab.locator("#table1 .cards").count() == 0) == (width > 1000)


@pytest.mark.slow
def test_it_opens_quietly(tab, page):
    assert tab.complaints == [] and tab.title().startswith("cryobench")
    assert [url for url in tab.asked if not url.startswith("data:")] == [page.as_uri()]


@pytest.mark.slow
def test_a_heading_sorts_its_column(tab):
    head = tab.locator("#table1 thead th").nth(1)
    values = "[...document.querySelectorAll('#table1 tbody tr')].map(r => r.cells[1].dataset.sort).filter(Boolean).map(Number)"
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
def test_the_clean_image_stands_beside_the_two_and_the_scale_bar_is_of_its_length(tab, store):
    """100 Å in a box of 204.8 Å would be more than a third of it: 50 Å are."""
    clean, _ = (tab.locator("#left").select_option(name) for name in ("clean", "noisy"))
    assert clean and tab.locator("#beside").is_visible()
    tab.locator("#left").select_option("clean")
    assert tab.evaluate("document.getElementById('truth').src === document.getElementById('over').src")
    box, bar = (tab.locator(place).bounding_box()["width"] for place in ("#compare", "#bar"))
    assert tab.locator("#bar").inner_text() == "50 Å" and bar / box == pytest.approx(50 / 204.8, rel=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("width", SCREENS)
def test_what_goes_on_at_the_right_says_so_and_nothing_else_does(tab):
    tab.evaluate(UNFOLD)
    wrong = """() => [...document.querySelectorAll('.wide:not(.picture)')].filter((one) =>
      (one.scrollWidth > one.clientWidth + 1 || one.scrollHeight > one.clientHeight + 1)
        !== Boolean(one.previousElementSibling?.matches('.sideways')))"""
    tab.wait_for_function(f"({wrong})().length === 0")


@pytest.mark.slow
@pytest.mark.parametrize("width", SCREENS)
def test_the_mse_of_a_method_is_seen_on_every_screen(tab):
    row = tab.locator("#methods tbody tr").filter(has=tab.locator("th", has_text="CWF")).first.inner_text()
    (mse,) = (
        cell.mean
        for one in summary.rows(frame.frame(Store(COMMITTED).all()))
        if one.name == "CWF"
        for cell in [one.cells[0.1]]
    )
    assert short(mse) in row


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
@pytest.mark.parametrize("width", SCREENS)
def test_no_serious_accessibility_violation(tab):
    """Contrast in light and dark among them."""
    if not AXE.is_file():
        pytest.skip("axe-core is missing: npm pack axe-core, and CRYOBENCH_AXE=package/axe.min.js")
    tab.evaluate("document.querySelector('#published_cells details').open = true")
    tab.add_script_tag(path=str(AXE))
    violations = tab.evaluate("axe.run()")["violations"]
    assert [(v["id"], v["nodes"][0]["html"]) for v in violations if v["impact"] in ("serious", "critical")] == []


def test_a_table_says_above_its_fold_what_it_found(page):
    """All of the committed results do."""
    text = page.read_text(encoding="utf-8")
    for file in (COMMITTED / "tables").glob("*.md"):
        section = text.split(f'<section id="{file.stem}"')[1].split("</section>")[0]
        above = html.unescape(re.sub(r"<[^>]*>", "", section.partition("</h2>")[2].partition("<details")[0])).strip()
        assert above and above == told.sentence(file.with_suffix(".csv")), file.stem


def test_a_table_of_several_data_sets_is_shown_with_all_of_them(tmp_path):
    """The rows of one have the names of the other's: a grid of methods would show the last one's numbers alone."""
    (tmp_path / "tables").mkdir()
    for file in (COMMITTED.parent / "rnap_mtb-desk" / "tables").glob("table_molecules.*"):
        shutil.copy(file, tmp_path / "tables")
    store = Store(tmp_path)
    (shown,) = tables.all_tables(store, frame.frame(store.all()), links.of([store]))
    assert "rows" not in shown and all(f">{name}: " in shown["html"] for name in ("rnap_mtb", "phantom", "rnap_ecoli"))


def test_claims_that_are_reversed_throughout_are_told_from_those_that_are_so_in_part(tmp_path):
    lines = "a,holds\na,holds\nb,reversed\nb,reversed\nc,reversed\nc,holds\nd,undecided\nd,holds\n"
    (tmp_path / "claims.csv").write_text(f"claim,verdict\n{lines}")
    assert findings.claims(tmp_path / "claims.csv") == (
        "Of the supplement's 4 claims 1 holds throughout, 1 is reversed throughout, 1 is reversed in part, 1 is undecided or "
        "holds in part. Of the 8 comparisons that test them 4 hold, 3 are reversed, 1 are undecided with the seeds run so far."
    )
    (tmp_path / "claims.csv").write_text("claim,verdict\na,undecided\n")
    assert findings.claims(tmp_path / "claims.csv").startswith(
        "Of the supplement's 1 claim none holds throughout, 1 is undecided"
    )


def test_the_lowest_mse_is_named_with_those_that_it_is_not_significantly_below(page):
    """As the claims of the same folder say: no pair (α,β) is significantly better than all others; CWF is, than BM3D."""
    lead = re.search(r'<ul class="lead">(.*?)</ul>', page.read_text(encoding="utf-8"), re.S)[1]
    found = [html.unescape(re.sub(r"<[^>]*>", "", line)) for line in re.findall(r"<li>(.*?)</li>", lead, re.S)]
    (nets,) = (line for line in found if line.startswith("Of the nets in the paper's tables"))
    assert (
        len(re.findall(r"\(significantly below (?:none|\d+) of \d+ others; not significantly below \d+\)", nets)) == 2
    )
    (classical,) = (line for line in found if line.startswith("Of the paper's classical methods"))
    assert classical.count("(significantly below all others)") == 2


def test_the_verb_makes_the_claims_that_it_tells_of(cli, tmp_path, monkeypatch):
    """A newcomer's report of a sweep had none, since nothing had asked for them."""
    from cryobench.experiments import claims

    made = []
    monkeypatch.setattr(claims, "write", lambda store: made.append(store.results) or [])
    folder = tmp_path / "results"
    shutil.copytree(COMMITTED.parent / "phantom-desk" / "runs", folder / "runs")
    (folder / "tables").mkdir()
    for table_there, expected in (("", 0), ("table1.md", 1), ("claims.md", 1)):
        if table_there:
            (folder / "tables" / table_there).write_text("# A table\n")
        status, _, err = cli("report", "--results", str(folder))
        assert status == 0 and len(made) == expected, err


def test_verdicts_of_compare_are_led_to_where_there_are_some(tmp_path):
    store = Store(tmp_path)
    keep(store, resolve(compose(["method=nlm", "scale=smoke"])), 0.1)
    link = '<a href="compare/compare.html">'
    assert link not in report.write(store).read_text(encoding="utf-8")
    (tmp_path / "compare").mkdir()
    (tmp_path / "compare" / "compare.html").touch()
    text = report.write(store).read_text(encoding="utf-8")
    assert link in text and "At smoke scale so few and small images show that all works" in text


def test_the_parts_of_the_published_numbers_add_up(tmp_path):
    """Whatever became of them: each verdict that the table gives has its words, and the sum is of these."""
    verdicts = [verdict for number, verdict in enumerate(table.BECAME, start=1) for _ in range(number)]
    head = "table,row,snr,metric,paper,mean,verdict\n"
    (tmp_path / "cells.csv").write_text(head + "".join(f"1,r,0.1,mse,,,{verdict}\n" for verdict in verdicts))
    said = findings.published(tmp_path / "cells.csv", {64})
    total, *parts = map(int, re.findall(r"\d+(?= numbers| agree| are)", said))
    assert said.endswith("The paper's images have 128 px, these 64: what that does to a number was not looked at here.")
    assert "was not looked at" not in findings.published(tmp_path / "cells.csv", {128})
    assert total == sum(parts) == len(verdicts) and "put down to scale" in said and "not run" in said


def test_rows_with_too_few_seeds_are_not_among_those_that_the_lowest_does_not_differ_from():
    """The two worst rows, of one seed each, were counted as those that the lowest is not significantly below."""
    store = Store(COMMITTED.parent / "rnap_ecoli-desk128")
    records = [one for one in store.all() if one.config.get("method", {}).get("name") != "pggan" or one.seed == 0]
    ranked = [row for row in summary.rows(frame.frame(records)) if row.judged]
    able = [row for row in ranked if row.times(0.05) is not None]
    first = min((row for row in able if len(row.records[0.05]) == 3), key=lambda row: row.times(0.05) or np.inf)
    once = [row.name for row in able if len(row.records[0.05]) < 3 and row.name != first.name]
    assert len(once) == 2
    assert lowest.beside(first, able, ranked, 0.05).endswith(f"; too few seeds of {lowest.those(once)})")
