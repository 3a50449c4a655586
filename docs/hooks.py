"""Add parts of the repository to the site: the notebook, and the options of the command line."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from mkdocs.plugins import event_priority, get_plugin_logger
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent.parent
OPTIONS = "<!-- options -->"
FETCHED = re.compile(
    r"<(?:script|link|img|iframe)\b[^>]*?\b(?:src|href)=.?(?:https?:)?//[^\s>]*", re.IGNORECASE
)

log = get_plugin_logger("scratchnet")


@event_priority(100)  # before mkdocs-jupyter looks for notebooks
def on_files(files: Files, config: Any) -> Files:
    """Make the notebook a page of the site, although it is outside docs/."""
    folder = str(ROOT / "notebooks")
    files.append(File("from_scratch.ipynb", folder, config.site_dir, config.use_directory_urls))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Insert the options of every command where a page has `OPTIONS`, and make the tutorial wide."""
    if page.file.src_uri == "from_scratch.ipynb":
        page.meta["hide"] = ["navigation"]
    return markdown.replace(OPTIONS, options()) if OPTIONS in markdown else markdown


def options() -> str:
    """Return all commands with their options, as typer writes them, one level below the page's title."""
    app = ["scratchnet.cli.main", "utils", "docs", "--name", "scratchnet"]
    command = [sys.executable, "-m", "typer", *app]
    found = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    found = re.sub(r"\*\*Commands\*\*:\n\n(\* .*\n)+", "", found)  # each has a section of its own
    return re.sub("^#", "##", found, flags=re.MULTILINE)


def on_page_content(html: str, **_: Any) -> str:
    """Remove the text that a docstring of `__init__` has only for readers of the code."""
    return html.replace("<p>See the class.</p>", "")


def on_post_page(output: str, page: Any, **_: Any) -> str:
    """Warn about what a browser would fetch from another machine. This fails a strict build."""
    for found in FETCHED.findall(output):
        log.warning("%s would fetch from the network: %s", page.file.src_uri, found)
    return output
