"""Opens the report pages of a directory in headless Chromium and says what is wrong with them.

Usage: browser-test.py DIRECTORY, with the interpreter that browser-env.sh prints. For each *.html, at the width of a phone
and of a desk, light and dark: no console message, no request, nothing wider than the screen, no serious or critical fault
that axe-core finds, and no script of a model's that ran. Then the filters of the answers are used and their counts are
compared with the data in the page; a page of training has a table of completions instead. With
TASKVEC_SCREENSHOTS set, pictures are left beside the pages. Exit code 1 where anything is wrong.
"""

import json
import os
import pathlib
import sys

import axe_playwright_python
from playwright.sync_api import sync_playwright

ENVIRONMENT = pathlib.Path(sys.prefix)
AXE = next(pathlib.Path(axe_playwright_python.__file__).parent.rglob("axe.min.js")).read_text()
faults = []


def fault(where, what):
    faults.append(f"{where}: {what}")


def look(page, where):
    wide = page.evaluate(
        "document.documentElement.scrollWidth > innerWidth ? document.documentElement.scrollWidth : 0"
    )
    if wide:
        fault(where, f"the page is {wide} pixels wide")
    if page.evaluate("'hostile' in window"):
        fault(where, f"a script of a model's ran: {page.evaluate('window.hostile')}")
    # Not a script element, which the page's own policy would refuse.
    page.evaluate(AXE)
    for violation in page.evaluate("axe.run()")["violations"]:
        if violation["impact"] in ("serious", "critical"):
            nodes = [node["html"][:120] for node in violation["nodes"][:3]]
            fault(where, f"axe {violation['id']}: {violation['help']}: {nodes}")


def expected(data, before, after, cell, wanted, text):
    count = 0
    for question in data["cells"][cell]["questions"]:
        one, other = question["answers"][before], question["answers"][after]
        if one is None or other is None:
            continue
        texts = [question["prompt"], question["reference"], question["id"], one["text"], other["text"]]
        if text and not any(text in part.lower() for part in texts):
            continue
        outcome = {(True, True): "right", (True, False): "lost", (False, True): "gained", (False, False): "wrong"}
        if wanted in ("all", outcome[one["correct"], other["correct"]]):
            count += 1
    return count


def use(page, where):
    data = json.loads(page.locator("#data").text_content())
    baseline = [model["label"] for model in data["models"]].index(data["report"]["baseline"])
    last = len(data["models"]) - 1
    for cell in range(len(data["cells"])):
        page.select_option("#cell", str(cell))
        for before, after, texts in [
            (baseline, data["headline_model"], ["", "answer is 4", "<script>"]),
            (last, 0, [""]),
            (0, 0, [""]),
        ]:
            page.select_option("#before", str(before))
            page.select_option("#after", str(after))
            for wanted in ["gained", "lost", "right", "wrong", "all"]:
                page.check(f"input[name=outcome][value={wanted}]")
                for text in texts:
                    if page.input_value("#text") != text:
                        page.fill("#text", text)
                    want = expected(data, before, after, cell, wanted, text)
                    got, listed = page.evaluate(
                        "[document.getElementById('count').textContent, document.querySelectorAll('#list > li').length]"
                    )
                    if got.split(" ")[0] != str(want) or listed != min(want, 25):
                        fault(where, f"{wanted}, {text!r}: {got}, {listed} listed, expected {want}")
            page.fill("#text", "")
    total = expected(data, 0, 0, len(data["cells"]) - 1, "all", "")
    page.keyboard.press("Tab")
    while page.locator("#more").is_visible():
        page.focus("#more")
        page.keyboard.press("Enter")
    if page.locator("#list > li").count() != total:
        fault(where, f"{page.locator('#list > li').count()} of {total} are listed in the end")


def read(page, where):
    """A page of training: the completions in its table are those of its data, as text."""
    data = json.loads(page.locator("#data").text_content())
    known = {(str(sample["step"]), sample["prompt"]) for run in data["runs"] for sample in run["samples"]}
    rows = page.locator(".completions tbody tr")
    for cells in rows.evaluate_all("rows => rows.map(row => [...row.cells].map(cell => cell.textContent))"):
        if (cells[0], cells[1]) not in known or not cells[2]:
            fault(where, f"a completion that the data does not have: {cells}")
    if known and not rows.count():
        fault(where, "no completion is shown")


def save(page, where, directory):
    for kind in ["svg", "csv"]:
        button = page.locator(f"button[data-save={kind}]").first
        with page.expect_download() as download:
            button.click()
        saved = directory / download.value.suggested_filename
        download.value.save_as(saved)
        text = saved.read_text()
        if kind == "svg" and not text.startswith("<svg"):
            fault(where, f"{saved.name} begins with {text[:20]!r}")
        if kind == "csv" and text.count("\n") < 2:
            fault(where, f"{saved.name} holds {text!r}")


def main():
    directory = pathlib.Path(sys.argv[1])
    chromium = os.environ.get("TASKVEC_CHROMIUM") or str(ENVIRONMENT / "chromium")
    libraries = str(ENVIRONMENT / "libraries" / "lib")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium,
            # Containers rarely grant what Chromium's own sandbox needs; the pages are ours and may fetch nothing.
            args=["--no-sandbox", "--disable-gpu"],
            env={**os.environ, "LD_LIBRARY_PATH": libraries},
        )
        for path in sorted(directory.glob("*.html")):
            for width in (360, 1280):
                for scheme in ("light", "dark"):
                    where = f"{path.name} at {width}, {scheme}"
                    context = browser.new_context(
                        viewport={"width": width, "height": 800}, color_scheme=scheme, accept_downloads=True
                    )
                    page = context.new_page()
                    page.on("console", lambda message: fault(where, f"console: {message.text}"))
                    page.on("pageerror", lambda error: fault(where, f"error: {error}"))
                    page.on(
                        "request",
                        lambda request: request.url.startswith(("file:", "blob:"))
                        or fault(where, f"request: {request.url}"),
                    )
                    page.goto(path.resolve().as_uri())
                    if "TASKVEC_SCREENSHOTS" in os.environ:
                        page.screenshot(path=directory / f"{path.stem}-{width}-{scheme}.png", full_page=True)
                    look(page, where)
                    if (width, scheme) == (1280, "light"):
                        (use if page.locator("#cell").count() else read)(page, where)
                        save(page, where, directory)
                        page.emulate_media(media="print")
                        page.pdf(path=directory / f"{path.stem}.pdf", format="A4")
                    context.close()
        browser.close()
    for line in faults[:40]:
        print(line)
    return 1 if faults else 0


sys.exit(main())
