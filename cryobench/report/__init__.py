"""RESULTS → report.html: one self-contained page of all that was run and found; opens from disk, asks nothing of a network."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

from cryobench.files import replacing, writable
from cryobench.report import findings, gallery, imaged, links, methods, plots, provenance, summary, tables
from cryobench.runs.store import Store
from cryobench.tables import frame

ROBUST = "../robust"
COMPARED = "compare/compare.html"  # what the verb compare leaves
LARGEST = 10 * 2**20  # bytes; figures that would not fit are named instead


def write(store: Store) -> Path:
    """Write RESULTS/report.html from the records, tables and figures there; whole or not at all.

    Raises InputError where the folder can't be written. Text from configs and errors is escaped: by the template, and in
    the page's own script by setting text, never markup.
    """
    import jinja2
    import markupsafe

    from cryobench.report import markdown

    runs = frame.frame(store.all())
    beside = Store(store.results / ROBUST)  # note 1 has no data set, so its results lie in a folder of their own
    everything = [*store.all(task=None), *beside.all(task=None)]
    lead_to = links.of([store, beside])
    own = tables.all_tables(store, runs, lead_to)
    beyond = tables.all_tables(beside, frame.frame(beside.all(task=None)), lead_to)
    page = {
        "title": store.results.resolve().name,
        "imaged": imaged.lines(runs),
        "findings": findings.lines(store, runs),
        "summary": summary.shown(runs),
        "methods": methods.in_words(summary.rows(runs)),
        "compared": (store.results / COMPARED).is_file(),
        "failed": provenance.failed(everything),
        "tables": [*own, *({**table, "of_points": True} for table in beyond)],
        "beside": beside.results.resolve().name,
        "claimed": any(table["name"] == "claims" for table in own),
        "here": {table["name"] for table in own},
        "plots": plots.all_plots(store, runs),
        "gallery": gallery.panels(store, runs),
        "runs": provenance.of(everything),
    }
    source = resources.files(__name__)
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["linked"] = lambda path: markupsafe.Markup(links.linked(path, lead_to))
    environment.filters["unbroken"] = lambda text: markupsafe.Markup(markdown.unbroken(str(markupsafe.escape(text))))
    template = environment.from_string((source / "page.html").read_text(encoding="utf-8"))
    figures, left_out = plots.figures([store, beside], LARGEST - len(json.dumps(page, default=str)))
    text = template.render(
        **page,
        figures=figures,
        left_out=left_out,
        data=for_script({"runs": page["runs"], "gallery": page["gallery"]}),
        style=(source / "page.css").read_text(encoding="utf-8"),
        script=(source / "page.js").read_text(encoding="utf-8"),
    )
    file = store.results / "report.html"
    with writable(store.results):
        with replacing(file) as part:
            part.write_text(text, encoding="utf-8")
    return file


def for_script(data: dict) -> str:
    """JSON that can stand in a <script> element: nothing in it can end the element or open a comment."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
