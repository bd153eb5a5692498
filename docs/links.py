"""A hook of mkdocs.yml: the site holds docs/ alone, so what a page links to beside it is named by its path in a checkout."""

import re

OUTSIDE = re.compile(r"!?\[([^\]]*)\]\(\.\./([^)\s]+)\)")


def on_page_markdown(markdown, page, config, files):
    """[words](../place) → words (`place`)."""
    return OUTSIDE.sub(lambda found: f"{found[1]} (`{found[2]}`)", markdown)
