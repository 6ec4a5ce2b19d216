"""Headless Chromium, where there is one: what a page looks like once its script has run."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
PATH = next((path for name in NAMES if (path := shutil.which(name))), None)
needs_browser = pytest.mark.skipif(
    PATH is None, reason=f"no browser on PATH (looked for {', '.join(NAMES)})"
)
TELL = """const tell = (x) => {
  const note = document.createElement('pre');
  note.id = 'told';
  note.textContent = JSON.stringify(x);
  document.body.append(note);
};"""
WAIT = "await new Promise((done) => setTimeout(done, 500));"


def dom(page: str, folder: Path, script: str = "", width: int = 1200) -> tuple[str, list[str]]:
    """The document after loading, and what was written to the console.

    Args:
        page: HTML.
        folder: where temporary files go.
        script: JavaScript that runs after the page's own; may await.
        width: of the window, in pixels.
    """
    late = f"<script>addEventListener('load', async () => {{ {script} }});</script></body>"
    file = folder / "page.html"
    file.write_text(page.replace("</body>", late), encoding="utf-8")
    assert PATH is not None
    command = [
        PATH,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--enable-logging=stderr",
        f"--user-data-dir={folder / 'profile'}",
        "--host-resolver-rules=MAP * ~NOTFOUND",
        f"--window-size={width},900",
        "--virtual-time-budget=5000",
        "--dump-dom",
        file.as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout, re.findall(r"CONSOLE.*", done.stderr)


def told(document: str) -> Any:
    """What a script handed to `tell`."""
    found = re.search(r'<pre id="told">(.*?)</pre>', document, re.DOTALL)
    assert found, "the script did not come to its end"
    return json.loads(html.unescape(found[1]))
