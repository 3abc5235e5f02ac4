"""Chromium without a window: what a page looks like after its scripts ran, and how it was laid out."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

FOUND = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
)  # fmt: skip

# run in a copy of the page without its policy: sizes cannot be read from the DOM's text alone
MEASURE = """
<script>
window.addEventListener("load", function () {
  var outside = [], broken = [], wide = document.documentElement.scrollWidth;
  document.querySelectorAll("svg.chart").forEach(function (chart) {
    if (!chart.getClientRects().length) return;
    var frame = chart.getBoundingClientRect();
    chart.querySelectorAll("text").forEach(function (text) {
      var box = text.getBoundingClientRect();
      if (box.left < frame.left - 6 || box.right > frame.right + 6 || box.top < frame.top - 6 || box.bottom > frame.bottom + 6)
        outside.push(chart.id + ": " + text.textContent);
    });
  });
  document.querySelectorAll("img").forEach(function (image) { if (!image.naturalWidth) broken.push(image.alt); });
  var names = [];
  document.querySelectorAll("svg#efficiency .name, svg#efficiency-narrow .name").forEach(function (name) {
    if (name.getClientRects().length) names.push(name.getBoundingClientRect());
  });
  var touching = 0;
  for (var i = 0; i < names.length; i++) for (var j = 0; j < i; j++)
    if (names[i].top < names[j].bottom - 3 && names[j].top < names[i].bottom - 3) touching++;
  var told = document.createElement("pre");
  told.id = "measured";
  told.textContent = JSON.stringify({outside: outside, broken: broken, wide: wide, shown: innerWidth, names: names.length,
    touching: touching, verdict: document.getElementById("verdict").getBoundingClientRect().bottom});
  document.body.appendChild(told);
});
</script>
"""


def dump(page: Path, width: int = 1280) -> str:
    """The DOM of ``page`` as HTML after it was loaded ``width`` pixels wide."""
    assert FOUND is not None
    with tempfile.TemporaryDirectory() as profile:
        done = subprocess.run(
            [FOUND, *FLAGS, f"--user-data-dir={profile}", f"--window-size={width},1200", "--dump-dom", page.as_uri()],
            capture_output=True, text=True, timeout=120, check=True,
        )  # fmt: skip
    return done.stdout


def errors(dom: str) -> str:
    """What the page's watch wrote of script errors and refused requests."""
    found = re.search(r'<pre id="script-errors"[^>]*>(.*?)</pre>', dom, re.S)
    assert found is not None
    return html.unescape(found[1]).strip()


def laid_out(page: Path, width: int) -> dict[str, Any]:
    """Text outside its chart, pictures that did not load, the width the page needs, names that touch."""
    text = page.read_text()
    opened = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)
    assert opened != text
    copy = page.with_name("measured.html")
    copy.write_text(opened.replace("</body>", MEASURE + "</body>"))
    dom = dump(copy, width)
    found = re.search(r'<pre id="measured">(.*?)</pre>', dom, re.S)
    assert found is not None, "the measuring script did not run"
    assert errors(dom) == ""
    return {**json.loads(html.unescape(found[1])), "dom": dom}
