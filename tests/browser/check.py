"""Opens reports in Chromium and looks at them: check.py CHROMIUM FOLDER, where tests/browser/run has made reports."""

import json
import pathlib
import sys

from chromium import Chromium

PHONE = (390, 844)
DESK = (1360, 1000)


class Checks:
    def __init__(self):
        self.passed = self.failed = 0

    def that(self, name, good, seen=None):
        self.passed, self.failed = self.passed + bool(good), self.failed + (not good)
        print(f"{'ok' if good else 'FAILED'}  {name}" + ("" if good else f": {json.dumps(seen)[:600]}"))


def shown(page):
    return page.run("[...document.querySelectorAll('.case')].filter((element) => !element.hidden).length")


def count_text(page):
    return int(page.run("document.getElementById('shown').textContent").split()[0])


def search(page, text):
    page.run(f"(() => {{ const box = document.querySelector('input[type=search]'); box.value = {json.dumps(text)};"
             " box.dispatchEvent(new Event('input')); })()")


def opened(page, report, case):
    """The parts of the diagram of a case."""
    page.open(f"{report.as_uri()}#{case}")
    return page.run("""(() => {
        const found = document.querySelector('.case[open]');
        if (!found || !found.querySelector('svg')) return null;
        const texts = (selector) => [...found.querySelectorAll(selector)].map((element) => element.textContent);
        const fail = found.querySelector('svg .fail');
        return {
            id: found.querySelector('.id').textContent, lanes: [...new Set(texts('.lane-name'))],
            labels: texts('svg .arrow text'), pauses: texts('svg .pause text'), folds: texts('svg .fold text'),
            fail: fail && fail.textContent, red: fail && getComputedStyle(fail.querySelector('text')).fill,
            below: fail && [...found.querySelectorAll('svg .arrow .hit')].every((hit) => hit.getBoundingClientRect().top < fail.getBoundingClientRect().top),
            origin: texts('aside pre').join(), wide: document.documentElement.scrollWidth,
        };
    })()""")


def one_run(page, checks, report, pictures):
    page.size(*DESK)
    page.dark(False)
    page.open(report.as_uri())
    checks.that("the page opens and lists its cases", shown(page) > 10, shown(page))
    checks.that("it says how the run ended", "exit code 1" in page.run("document.querySelector('.outcome').textContent"))
    page.shoot(pictures / "summary.png")

    everything = shown(page)
    search(page, "pipelined-300")
    checks.that("a search leaves what matches", 0 < shown(page) < everything and count_text(page) == shown(page), shown(page))
    search(page, "no such words anywhere")
    checks.that("a search without a match leaves nothing", shown(page) == 0 and count_text(page) == 0)
    search(page, "")
    expected = page.run("Number(document.querySelector('.chip.violation b').textContent)")
    page.run("document.querySelector('.chip.violation').click()")
    only_red = page.run("[...document.querySelectorAll('.case')].filter((element) => !element.hidden).every((element) => element.querySelector('.badge.violation'))")
    checks.that("a click on a class leaves that class", shown(page) == expected and only_red, [shown(page), expected])
    page.run("document.querySelector('.chip.violation').click()")
    checks.that("a second click brings the others back", shown(page) == everything)
    cell = "#matrix tbody tr:nth-child(2) .cell"
    area = page.run("document.querySelector('#matrix tbody tr:nth-child(2) .id').textContent")
    page.run(f"document.querySelector('{cell}').click()")
    checks.that("a click on an area leaves that area", 0 < shown(page) < everything and page.run("document.querySelector('.filters select').value") == area)
    page.run("document.querySelector('.filters > button:last-child').click()")
    checks.that("clear clears", shown(page) == everything)

    light = page.run("getComputedStyle(document.body).backgroundColor")
    page.run("document.getElementById('theme').click()")
    toggled = page.run("getComputedStyle(document.body).backgroundColor")
    page.dark(True)
    page.open(report.as_uri())
    dark = page.run("getComputedStyle(document.body).backgroundColor")
    checks.that("the button and the system make it dark", light != dark and toggled == dark, [light, toggled, dark])
    checks.that("no complaint in the dark", not page.complaints(), page.complaints())
    page.shoot(pictures / "dark.png")
    for (theme, is_dark) in (("light", False), ("dark", True)):
        page.dark(is_dark)
        poor = contrast(page, report)
        checks.that(f"every text of the {theme} page has a contrast of 4.5", not poor, poor)
    page.dark(False)


def contrast(page, report):
    """Texts that stand out too little from what is behind them."""
    page.open(f"{report.as_uri()}#order/pipelined-300.ws")
    return page.run("""(() => {
        const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
        const light = ([r, g, b]) => [r, g, b].map((c) => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
            .reduce((sum, c, index) => sum + c * [0.2126, 0.7152, 0.0722][index], 0);
        const behind = (element) => {
            for (let up = element; up; up = up.parentElement) {
                const colour = channels(getComputedStyle(up).backgroundColor);
                if (colour.length < 4 || colour[3] > 0) return colour;
            }
            return [255, 255, 255];
        };
        const poor = [];
        for (const element of document.querySelectorAll('body *')) {
            const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
            if (!own || !element.checkVisibility() || ['SCRIPT', 'STYLE', 'title'].includes(element.tagName)) continue;
            const style = getComputedStyle(element);
            const inSvg = element instanceof SVGElement;
            const box = inSvg && element.closest('.fail, .fold');
            const back = box ? channels(getComputedStyle(box.querySelector('rect')).fill) : behind(element);
            const [one, other] = [light(channels(inSvg ? style.fill : style.color)), light(back)];
            const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
            if (ratio < 4.5) poor.push(element.textContent.slice(0, 40) + ' ' + ratio.toFixed(2));
        }
        return [...new Set(poor)].slice(0, 8);
    })()""")


def diagrams(page, checks, folder, pictures):
    page.size(*DESK)
    seen = opened(page, folder / "wedge.html", "order/pipelined-300.ws")
    checks.that("a link opens its case with a diagram", seen and seen["id"] == "order/pipelined-300", seen)
    checks.that("it has the lanes of client, executor and origin", seen["lanes"] == ["suite (client)", "executor under test", "origin"], seen["lanes"])
    checks.that("hundreds of requests are folded to a line", any("more requests #" in fold for fold in seen["folds"]), seen["folds"])
    checks.that("the silence before the deadline is shown", any("of silence" in pause for pause in seen["pauses"]), seen["pauses"])
    checks.that("the failure is red, behind all messages, and says what came", seen["red"] == "rgb(179, 32, 30)" and seen["below"] and "nothing within" in seen["fail"], seen)
    page.shoot(pictures / "wedge.png", ".case[open]")
    before = len(seen["labels"])
    page.run("document.querySelector('svg .fold').dispatchEvent(new MouseEvent('click'))")
    after = page.run("document.querySelectorAll('.case[open] svg .arrow').length")
    checks.that("a click unfolds", after > before, [before, after])
    page.run("document.querySelector('svg .arrow').dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter' }))")
    frame = page.run("(() => { const frame = document.querySelector('.frame'); return !frame.hidden && frame.textContent; })()")
    checks.that("Enter on an arrow shows the whole frame", frame and '"method": "initialize"' in frame, frame)
    checks.that("no complaint about the wedge", not page.complaints(), page.complaints())

    seen = opened(page, folder / "stall.html", "order/first-delta.ws")
    checks.that("the stall of the first frame is shown as time", seen and sum("ms pass" in pause for pause in seen["pauses"]) >= 3, seen)
    page.shoot(pictures / "stall.png", ".case[open]")
    seen = opened(page, folder / "header.html", "response/utf8-header.ws")
    checks.that("the lost header stands at the origin and not in the response", seen and "x-name" in seen["origin"] and any("200 #7" in label and "x-name" not in label for label in seen["labels"]), seen)
    page.shoot(pictures / "header.png", ".case[open]")
    seen = opened(page, folder / "client.html", "client-stream/empty-frames.ws") or opened(page, folder / "client.html", page.run("DATA.cases[0].key"))
    checks.that("a client's diagram has the application, the client and the suite", seen and seen["lanes"] == ["application", "client under test", "suite (executor)"] and seen["fail"], seen)
    page.shoot(pictures / "client.png", ".case[open]")
    checks.that("no complaint about diagrams", not page.complaints(), page.complaints())


def phone(page, checks, folder, pictures):
    page.size(*PHONE, phone=True)
    page.open((folder / "wedge.html").as_uri())
    checks.that("on a phone the page does not scroll sideways", page.run("document.documentElement.scrollWidth") <= PHONE[0])
    page.shoot(pictures / "phone.png")
    seen = opened(page, folder / "wedge.html", "order/pipelined-300.ws")
    checks.that("nor with a diagram", seen and seen["wide"] <= PHONE[0], seen)
    page.shoot(pictures / "phone-case.png")
    page.open((folder / "comparison.html").as_uri())
    checks.that("nor does a comparison", page.run("document.documentElement.scrollWidth") <= PHONE[0])
    page.size(*DESK)


def comparison(page, checks, folder, pictures):
    page.open((folder / "comparison.html").as_uri())
    rows = "[...document.querySelectorAll('#comparison tbody tr')].map((row) => row.textContent)"
    differing = page.run(rows)
    checks.that("a comparison lists what differs", any("order/pipelined-300" in row and "fail" in row and "pass" in row for row in differing), differing[:5])
    checks.that("each run has a card", page.run("[...document.querySelectorAll('.run h2')].map((name) => name.textContent)") == ["wedge", "stall", "header"])
    page.shoot(pictures / "comparison.png")
    page.run("document.getElementById('only-different').click()")
    checks.that("it lists all cases when asked", len(page.run(rows)) > len(differing))
    page.run("[...document.querySelectorAll('#comparison a')].find((link) => link.href.includes('wedge:order/pipelined-300')).click()")
    page.run("new Promise((done) => setTimeout(done, 100))")
    checks.that("a cell opens the case of its run", page.run("document.querySelector('.case[open] .run-name').textContent") == "wedge")
    checks.that("no complaint about a comparison", not page.complaints(), page.complaints())


def hostile(page, checks, folder):
    page.open((folder / "hostile.html").as_uri())
    page.run("document.querySelectorAll('.case').forEach((element) => { element.open = true; })")
    page.run("new Promise((done) => setTimeout(done, 100))")
    strange = page.run("document.querySelectorAll('img, iframe, object, svg image, svg a, style:not(head style), link, form').length")
    checks.that("what a hostile peer says is text", strange == 0 and page.run("typeof window.pwned") == "undefined", strange)
    checks.that("a killed run is marked", "incomplete" in page.run("document.querySelector('.outcome').textContent"))
    checks.that("and its text stands there", page.run("document.body.textContent.includes('<img src=x onerror=')"))
    checks.that("no complaint about a hostile peer", not page.complaints(), page.complaints())


def extra(page, checks, report, pictures):
    """A report of somebody else: its summary, and the cases that README.md speaks of."""
    page.size(*DESK)
    page.open(report.as_uri())
    checks.that(f"{report.stem} opens", shown(page) > 0 and not page.complaints(), page.complaints())
    page.shoot(pictures / f"{report.stem}.png")
    for case in ("order/pipelined-300.ws", "order/first-delta.ws", "response/utf8-header.ws"):
        seen = opened(page, report, case)
        if seen:
            name = case.replace("/", "-").replace(".ws", "")
            checks.that(f"{report.stem} shows {case}", seen["fail"] and not page.complaints(), seen)
            page.shoot(pictures / f"{report.stem}-{name}.png", ".case[open]")


def main():
    program, folder = sys.argv[1], pathlib.Path(sys.argv[2]).resolve()
    checks = Checks()
    page = Chromium(program)
    try:
        one_run(page, checks, folder / "wedge.html", folder)
        diagrams(page, checks, folder, folder)
        phone(page, checks, folder, folder)
        comparison(page, checks, folder, folder)
        hostile(page, checks, folder)
        for report in sorted(folder.glob("extra-*.html")):
            extra(page, checks, report, folder)
    finally:
        page.close()
    print(f"\n{checks.passed} passed, {checks.failed} failed, 0 skipped")
    sys.exit(checks.failed > 0)


if __name__ == "__main__":
    main()
