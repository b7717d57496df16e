# SPDX-License-Identifier: Apache-2.0
"""What mkdocs does not do by itself: pages from outside docs/, and a section of all notes.

README, CONTRIBUTING, CHANGELOG and the examples' README are pages of the site. Links between files
of the repository stay as GitHub wants them; here they are turned into links between pages, and a
link to a file that is no page becomes its text.
"""

import os
import posixpath
import re
from pathlib import Path

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[1]
OUTSIDE = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md",
           "CHANGELOG.md": "changelog.md", "examples/README.md": "examples.md"}
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s#]*)(#[^)\s]*)?\)")


def on_files(files, config):
    for source, page in OUTSIDE.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text("utf-8")))
    return files


def on_config(config):
    notes = sorted((Path(config.docs_dir) / "notes").glob("*.md"), reverse=True)
    if notes:
        config.nav.append({"Notes": [f"notes/{note.name}" for note in notes]})
    return config


def on_page_markdown(markdown, page, config, files):
    here = page.file.src_uri
    source = next((name for name, uri in OUTSIDE.items() if uri == here), f"docs/{here}")

    def mended(match):
        image, text, target, anchor = match.groups(default="")
        if not target or re.match(r"[a-z]+:", target):
            return match[0]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        uri = OUTSIDE.get(path, path.removeprefix("docs/") if path.startswith("docs/") else None)
        if uri is None:
            if not os.path.exists(ROOT / path):
                return match[0]         # mkdocs says that it is broken
            return text
        return f"{image}[{text}]({posixpath.relpath(uri, posixpath.dirname(here) or '.')}{anchor})"

    return LINK.sub(mended, markdown)
