"""Hooks of mkdocs.yml: the site holds docs/, and of results/ what its README and the pages of docs/ show.

A link to any other file of the checkout becomes the file's path. Comments, which hold the sources of numbers, are left out, and
numbers are marked, which a browser would break at their signs.
"""

import re
from pathlib import Path
from posixpath import dirname, join, normpath, relpath

from mkdocs.structure.files import File

from cryobench.report.markdown import PROSE, unbroken

ROOT = Path(__file__).parents[1]
FOUND = "results/README.md"
LINK = re.compile(r"\]\(([^)\s#]+)")
UPWARD = re.compile(r"(!?)\[([^\]]*)\]\((\.\./[^)\s#]+)(#[^)\s]*)?\)")
TEXT = re.compile(r"(<(pre|code|script|style)\b.*?</\2>|<[^>]+>)|[^<]+", re.S)
PICTURE = re.compile(r'(?<!">)(<img\b[^>]*?\bsrc="([^"]+)"[^>]*>)(?!</a>)')
OPTION = re.compile(r"(?<![\w-])(--?[a-z][\w-]*)")
TABLE = re.compile(r"<table>.*?</table>", re.S)
TAG = re.compile(r"^[^>]*>|<[^>]*>")
COMMENT = re.compile(r"^[ ]*<!--.*?-->[ ]*\n", re.S | re.M)


def in_checkout(uri):
    """Where a page of the site lies in the checkout."""
    return uri if uri.startswith("results/") else f"docs/{uri}"


def on_files(files, config):
    """Add results/README.md, and whatever of results/ the pages lead to."""
    waiting = [FOUND, *(in_checkout(file.src_uri) for file in files.documentation_pages())]
    added = {FOUND}
    while waiting:
        page = waiting.pop()
        links = {normpath(join(dirname(page), link)) for link in LINK.findall((ROOT / page).read_text("utf-8"))}
        new = {path for path in links - added if path.startswith("results/") and (ROOT / path).is_file()}
        added |= new
        waiting += [path for path in new if path.endswith(".md")]
    for path in sorted(added):
        files.append(File.generated(config, path, abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown, page, config, files):
    """[words](../place) → the same place in the site, or words (`place`) where the site has none."""
    uri = page.file.src_uri

    def there(found):
        mark, words, target, anchor = found.groups(default="")
        path = normpath(join(dirname(in_checkout(uri)), target))
        if path.startswith(("docs/", "results/")):
            return f"{mark}[{words}]({relpath(path.removeprefix('docs/'), dirname(uri) or '.')}{anchor})"
        return f"`{path}`" if path.endswith(words.strip("`")) else f"{words} (`{path}`)"

    return UPWARD.sub(there, COMMENT.sub("", markdown))


def on_page_content(html, page, config, files):
    """A picture leads to itself in full size; docs/site.css keeps numbers in text, and options in code, on one line."""
    html = PICTURE.sub(r'<a href="\2">\1</a><small class="larger">Tap the picture to see it larger.</small>', html)
    return TEXT.sub(whole, TABLE.sub(with_prose_below, html))


def with_prose_below(found):
    """A table of three columns or more whose last one has sentences: on a phone site.css puts these under their row."""
    columns = found[0].partition("</tr>")[0].count("</th>")
    ends = [TAG.sub("", row.rpartition("<td")[2]) for row in found[0].split("</tr>") if "<td" in row]
    prose = columns > 2 and max(map(len, ends), default=0) > PROSE
    return f'<div class="prose-below" style="--columns: {columns - 1}">{found[0]}</div>' if prose else found[0]


def whole(found):
    """A match of TEXT: text with its numbers, code within it with its options, --skip-bad, in one piece each."""
    if found[2] == "code":
        return OPTION.sub(r'<span class="option">\1</span>', found[0])
    return found[0] if found[1] else unbroken(found[0])
