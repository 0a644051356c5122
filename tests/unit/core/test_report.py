"""Reports are one self-contained, well-formed, deterministic file whatever the data is called."""

import base64
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest
import simplejpeg

from components.core.report import page
from components.core.report.charts import (
    Series,
    bar_chart,
    heat_map,
    line_chart,
    standalone,
    ticks,
)
from components.core.report.images import data_url, strip

NASTY = '<script>alert("x")</script> & co'
SVG = "{http://www.w3.org/2000/svg}"
VOID = {"meta", "img", "br", "wbr"}


class Balance(HTMLParser):
    """Fails on tags that are not closed in order; collects what could reach the network."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.links = [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.links += [v for k, v in attributes if k in ("src", "href", "srcset", "xlink:href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def parsed(text):
    reader = Balance()
    reader.feed(text)
    assert reader.open == []
    return reader


def test_a_page_is_whole_and_asks_for_nothing_from_outside():
    image = data_url(strip(np.full((3, 20, 30, 3), 90, np.uint8)))
    text = page.page(
        NASTY,
        "eyebrow",
        NASTY,
        [
            page.notes([NASTY]),
            page.cards([page.card(NASTY, 0.5, (0.4, 0.6), 0.3)]),
            page.comparison([page.comparison_head(NASTY), page.comparison_row("a", 0.2, None)]),
            page.section(NASTY, page.panel(page.properties({NASTY: NASTY}), scroll=True)),
            page.section("chart", heat_map([[1, 2], [0, 3]], [NASTY, "b"], "rows", "columns")),
            page.section("empty", ""),
            page.picture(image, "caption", NASTY),
            page.legend({NASTY: "k1"}),
        ],
        "footer",
    )
    reader = parsed(text)
    assert "script" not in reader.tags
    assert "link" not in reader.tags
    assert all(link.startswith("data:image/jpeg;base64,") for link in reader.links)
    assert "url(" not in text
    assert "@import" not in text
    assert "<h2>empty</h2>" not in text
    assert 'name="viewport"' in text
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text


@pytest.mark.parametrize(
    "chart",
    [
        line_chart(
            [Series("a", [1, 2, 3], [0.1, float("nan"), 0.4]), Series("b", [2], [1.0])],
            x_label=NASTY,
            y_label="y",
            mark_x=2,
            level=0.3,
        ),
        line_chart([], x_label="x", y_label="y"),
        line_chart(
            [Series(NASTY, [0, 1], [0, 1]) for _ in range(7)], x_label="x", y_label="y", named=True
        ),
        heat_map(np.eye(3, dtype=int).tolist(), ["a", NASTY, "a long class name"], "rows", "cols"),
        heat_map(np.eye(40, dtype=int).tolist(), [str(n) for n in range(40)], "rows", "cols"),
        bar_chart([NASTY, "b"], [0.4, None], "F1"),
    ],
    ids=["lines", "no lines", "named lines", "small heat map", "large heat map", "bars"],
)
def test_charts_are_well_formed_and_finite(chart):
    root = ElementTree.fromstring(standalone(chart))
    assert root.tag == f"{SVG}svg"
    assert not re.search(r"\b(nan|inf)\b", chart)
    parsed(chart)


def test_a_line_goes_where_the_data_goes():
    chart = line_chart(
        [Series("a", [0, 10], [0, 1])], x_label="x", y_label="y", y_range=(0, 1), x_range=(0, 10)
    )
    root = ElementTree.fromstring(standalone(chart))
    (line,) = root.iter(f"{SVG}polyline")
    (x1, y1), (x2, y2) = (map(float, point.split(",")) for point in line.get("points").split())
    axis = next(e for e in root.iter(f"{SVG}line") if e.get("class") == "axis")
    assert (x1, y1) == (float(axis.get("x1")), float(axis.get("y1")))
    assert x2 == float(axis.get("x2"))
    assert y2 < y1


def test_heat_map_cells_hold_the_counts_and_shade_by_row():
    chart = heat_map([[9, 1], [0, 4]], ["a", "b"], "true", "predicted")
    root = ElementTree.fromstring(standalone(chart))
    cells = [e for e in root.iter(f"{SVG}rect") if e.get("class") == "cell"]
    shades = [float(cell.get("fill-opacity")) for cell in cells]
    assert shades[2] == 0
    assert shades[3] == max(shades)
    assert shades[0] > shades[1]
    assert [cell.find(f"{SVG}title").text for cell in cells][1] == "a taken for b: 1 of 10"
    texts = [e.text for e in root.iter(f"{SVG}text")]
    assert "90%" in texts


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]), (0, 0, [-0.6, -0.4, -0.2, 0, 0.2, 0.4, 0.6])],
)
def test_ticks_are_round_and_cover_the_data(low, high, expected):
    assert ticks(low, high) == pytest.approx(expected)


def test_ticks_of_epochs_are_whole():
    assert ticks(1, 4, count=6, whole=True) == [1, 2, 3, 4]
    assert all(tick == int(tick) for tick in ticks(1, 37, count=6, whole=True))


def test_undefined_figures_are_dashes():
    assert page.number(None) == "–"
    assert "nan" not in page.card("x", None).lower()
    assert 'class="point"' not in page.track(None)


def test_a_strip_shows_the_frames_from_left_to_right():
    frames = np.zeros((3, 40, 60, 3), np.uint8)
    for number, frame in enumerate(frames):
        frame[..., number] = 250
    sheet = strip(frames, height=20)
    assert sheet.shape == (20, 3 * 30 + 2 * 3, 3)
    encoded = data_url(sheet).removeprefix("data:image/jpeg;base64,")
    shown = simplejpeg.decode_jpeg(base64.b64decode(encoded), "RGB")
    for number in range(3):
        assert shown[10, number * 33 + 15].argmax() == number


def test_a_sortable_table_brings_its_script_and_others_none():
    rows = [["a", "1"], [NASTY.replace("<", "&lt;"), "2"]]
    for sortable in (True, False):
        content = page.table(["name", "clips"], rows, ["", "number"], sortable=sortable)
        text = page.page("t", "e", "s", [page.section("Table", content)], "f")
        found = parsed(text)
        assert ("script" in found.tags) == sortable
        assert found.links == []
        assert text.count("<tr>") == 3


def test_points_mark_each_value_of_a_line():
    lines = [Series("a", [1, 2, 3], [0.1, float("nan"), 0.3]), Series("b", [1], [0.2])]
    chart = line_chart(lines, x_label="x", y_label="y", points=True)
    tree = ElementTree.fromstring(standalone(chart))
    assert len(tree.findall(f"{SVG}circle")) == 3
    assert len(tree.findall(f"{SVG}polyline")) == 1
