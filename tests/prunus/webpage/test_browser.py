# SPDX-License-Identifier: Apache-2.0
"""Pages in a browser: they render, say what is under the mouse, zoom, and need no network."""

import json
import shutil

import numpy as np
import pytest

from prunus.engines.hdp import Options
from prunus.engines.hdp import load_jobs as hdp_jobs
from prunus.engines.leopard import load_jobs as leopard_jobs
from prunus.engines.topk import load_jobs as topk_jobs
from prunus.golden.engines import load_config

pytest.importorskip("plotly", reason="needs plotly: pip install -e '.[report]'")
sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright: make dev")

from prunus.webpage.content import content, of_file  # noqa: E402
from prunus.webpage.evaluations import joined  # noqa: E402
from prunus.webpage.page import page  # noqa: E402
from prunus.webpage.work import Table  # noqa: E402
from tests.prunus.commands.test_report import HOSTILE, RECORD, heads  # noqa: E402

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser",
                                                 "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")

TOKENS = [HOSTILE, "<b>", "movie", *(f"w{n}" for n in range(9))]


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM,
                                             args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """A page of the heads of a file for each engine, and one like that of a model."""
    path = tmp_path_factory.mktemp("pages")
    source = heads(path / "in.npz", l_q=12, l_kv=12, causal=True)
    configs = {name: load_config(name) for name in ("hdp_edge", "leopard_ae", "topk_edge")}
    jobs = {"hdp_edge": hdp_jobs(source, configs["hdp_edge"], Options()),
            "leopard_ae": leopard_jobs(source, configs["leopard_ae"], 0.5),
            "topk_edge": topk_jobs(source, configs["topk_edge"], 3)}
    data = {name: of_file(source, jobs[name], config, rtl=False)
            for name, config in configs.items()}
    points = [{**RECORD, "series": HOSTILE, "chosen": True, "difference": [-0.1, -0.2, 0.1]},
              {**RECORD, "method": "float", "value": 0.9, "series": "float",
               "difference": [0.0, 0.0, 0.0]}]
    data["model"] = content(
        [Table(f"layer {n}", jobs["hdp_edge"]) for n in range(3)], configs["hdp_edge"],
        title=HOSTILE, rtl=False, settings=[("text", HOSTILE)], by_layer=True, tokens=TOKENS,
        kept_task=[[[n + head, 10] for head in range(2)] for n in range(3)], texts=7,
        cards=[("5", HOSTILE)], curve=joined(points, []))
    for name, one in data.items():
        (path / f"{name}.html").write_text(page(one), encoding="utf-8")
    return path, data


class Opened:
    """A page in a tab, and whatever goes wrong in it."""

    def __init__(self, browser, path):
        self.tab = browser.new_page(viewport={"width": 1200, "height": 900})
        self.wrong = []
        self.tab.on("console", lambda said: self.wrong.append(f"console: {said.text}"))
        self.tab.on("pageerror", lambda err: self.wrong.append(f"error: {err}"))
        self.tab.on("requestfailed", lambda one: self.wrong.append(f"failed: {one.url[:80]}"))
        self.tab.on("request", lambda one: self.wrong.append(f"asked: {one.url[:80]}")
                    if not one.url.startswith(("file:", "data:", "blob:")) else None)
        self.tab.goto(path.as_uri())
        self.tab.wait_for_selector("#map-probability .heatmaplayer image", state="attached")

    def ask(self, code, *args):
        return self.tab.evaluate(code, *args)

    def until(self, code):
        """Wait until an expression is true; the page's policy forbids Playwright's own way."""
        for _ in range(600):
            if self.ask(code):
                return
            self.tab.wait_for_timeout(50)
        raise AssertionError(f"never true: {code}")

    def trace(self, figure, name):
        return self.ask("([id, name]) => { const trace = document.getElementById(id).data.find("
                        "(one) => one.name === name); return JSON.parse(JSON.stringify(trace)) }",
                        [figure, name])

    def range(self, figure):
        return self.ask("(id) => ['xaxis', 'yaxis'].map((axis) => "
                        "document.getElementById(id)._fullLayout[axis].range)", figure)

    def over(self, figure, x, y):
        """Move the mouse to a share of the figure's plot."""
        plot = self.tab.locator(f"#{figure} .nsewdrag").first
        plot.scroll_into_view_if_needed()
        box = plot.bounding_box()
        self.tab.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
        self.tab.mouse.move(box["x"] + x * box["width"] + 1, box["y"] + y * box["height"] + 1)

    def label(self, figure, text):
        """What the label under the mouse says, once it has a text."""
        said = f"(document.querySelector('#{figure} .hovertext')?.textContent ?? '')"
        self.until(f"{said}.includes({json.dumps(text)})")
        return self.ask(said)


@pytest.fixture(scope="module")
def tabs(browser, pages):
    """Each page once, as loading one takes longer than what is done with it."""
    path, _ = pages
    opened = {}

    def tab(name):
        if name not in opened:
            opened[name] = Opened(browser, path / f"{name}.html")
        return opened[name]

    yield tab
    for one in opened.values():
        one.tab.close()


@pytest.fixture
def open_page(tabs):
    """A page as it is after loading; nothing may go wrong meanwhile."""
    used = []

    def opened(name):
        one = tabs(name)
        used.append(one)
        one.tab.mouse.move(1, 1)
        one.ask("() => { for (const id of ['layer', 'head']) { const one = "
                "document.getElementById(id); if (one) { one.value = '0'; "
                "one.dispatchEvent(new Event('change')); } } }")
        return one

    yield opened
    assert [one.wrong for one in used if one.wrong] == []


@pytest.mark.parametrize("name", ["hdp_edge", "leopard_ae", "topk_edge", "model"])
def test_figures_are_drawn_with_their_data(open_page, pages, name):
    _, data = pages
    opened = open_page(name)
    figures = opened.ask(
        "() => [...document.querySelectorAll('.js-plotly-plot')].map((one) => [one.id, "
        "one.data.length, one.data.every((trace) => (trace.z || trace.y).length > 0), "
        "one.getBoundingClientRect().height > 100])")
    wanted = {"map-importance", "map-probability", "budget", "energy"} | (
        {"kept-text", "kept-task", "curve"} if name == "model" else {"kept-heads"})
    assert {figure[0] for figure in figures} == wanted
    assert all(count and full and high for _, count, full, high in figures), figures
    head = data[name]["heads"][0]
    key = head["quantities"][0]
    for figure, values, unit in (("map-probability", head["maps"]["probability"]["z"], 1),
                                 ("map-importance", head["maps"][key]["z"], None)):
        kept, gone = (np.array(opened.trace(figure, one)["z"], float)
                      for one in ("kept", "pruned"))
        values = np.array(values, float)
        if unit is None:
            logits = next(q for q in data[name]["quantities"] if q["key"] == key)["logits"]
            values = values * (head["unit"] if logits else 1)
        assert not (np.isfinite(kept) & np.isfinite(gone)).any()
        np.testing.assert_array_equal(np.where(np.isnan(kept), gone, kept), values)
        side = values.shape[0] // len(head["kept"])
        alive = np.kron(head["kept"], np.ones((side, side)))[:values.shape[0],
                                                              :values.shape[1]]
        np.testing.assert_array_equal(np.isfinite(kept), (alive > 0) & ~np.isnan(values))


def test_the_mouse_says_what_is_under_it(open_page):
    opened = open_page("hdp_edge")
    opened.over("map-importance", 0.05, 0.9)
    said = opened.label("map-importance", "query 10–11 × key 0–1: ")
    assert "θ of a block: " in said and "against Θ = " in said and "attention" in said
    opened.over("budget", 0.1, 0.3)
    opened.label("budget", "cycles")


def test_a_drag_zooms_both_maps_and_a_double_click_goes_back(open_page):
    opened = open_page("leopard_ae")
    before = opened.range("map-importance")
    assert before == [[-0.5, 11.5], [11.5, -0.5]] == opened.range("map-probability")
    opened.over("map-importance", 0.1, 0.3)
    opened.tab.mouse.down()
    opened.over("map-importance", 0.4, 0.6)
    opened.tab.mouse.up()
    opened.until(
        "document.getElementById('map-probability')._fullLayout.xaxis.range[1] < 8")
    after = opened.range("map-importance")
    assert after == opened.range("map-probability") != before
    assert after[0][1] - after[0][0] < 6
    opened.ask("() => Plotly.relayout('map-probability', {'xaxis.autorange': true, "
               "'yaxis.autorange': true})")
    opened.until(
        "document.getElementById('map-importance')._fullLayout.xaxis.range[1] > 11")


def test_other_heads_and_maps_are_chosen(open_page):
    opened = open_page("model")
    first = opened.trace("map-probability", "kept")["z"]
    opened.tab.select_option("#head", "1")
    assert opened.trace("map-probability", "kept")["z"] != first
    opened.tab.click("#after")
    assert opened.ask("[document.getElementById('layer').value, "
                      "document.getElementById('head').value]") == ["1", "0"]
    opened.tab.select_option("#quantity", "score")
    assert opened.tab.text_content("#map-importance-title") == "largest score of a kept block"
    opened.over("kept-task", 0.75, 0.9)
    opened.label("kept-task", "layer 2, head 13 of 10 blocks kept")
    opened.tab.mouse.down()
    opened.tab.mouse.up()
    opened.until("document.getElementById('layer').value === '2'")


def test_the_curve_over_other_shares(open_page):
    opened = open_page("model")
    name = opened.ask("document.getElementById('curve').data[1].name")
    point = opened.trace("curve", name)
    assert (point["x"], point["y"]) == ([0.4], [0.8])
    opened.tab.select_option("#curve-axis", label="blocks pruned")
    assert opened.trace("curve", name)["x"] == [0.5]
    opened.tab.select_option("#curve-value", "1")
    point = opened.trace("curve", name)
    assert point["y"] == [-0.1] and point["error_y"]["array"] == [pytest.approx(0.2)]
    assert set(opened.trace("curve", "float")["y"]) == {0}


def test_hostile_texts_stay_texts(open_page):
    opened = open_page("model")
    assert "</script><img src=x" in opened.tab.title()
    assert opened.tab.text_content("h1") == HOSTILE
    assert opened.ask("document.querySelectorAll('img, svg a, main script').length") == 0
    opened.over("map-importance", 0.05, 0.05)
    opened.label("map-importance", "</script><img src=x")


@pytest.mark.parametrize("width", [1400, 800, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_fits_its_window(open_page, width, scheme):
    opened = open_page("model")
    opened.tab.set_viewport_size({"width": width, "height": 900})
    opened.tab.emulate_media(color_scheme=scheme)
    opened.until(f"document.documentElement.scrollWidth <= {width}")
    ink = opened.ask("document.getElementById('budget')._fullLayout.font.color")
    opened.tab.set_viewport_size({"width": 1200, "height": 900})
    opened.tab.emulate_media(color_scheme="light")
    assert ink == ("#1c1d22" if scheme == "light" else "#e9eaf0")
