"""Figures show the numbers that they are given; the SVG fits into a page of either theme."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from eureka_nlg.report import figures, loss_figures, panels, theme
from eureka_nlg.report.model import Report
from eureka_nlg.report.sections import drawings

SVG = "{http://www.w3.org/2000/svg}"


def test_histograms_are_shares() -> None:
    systems = {"CE": {"head": [30, 10, 0, 0], "tail": [5, 0, 0, 0]}, "EL": {"head": [10, 10, 10, 10]}}
    head, tail = figures.likelihood_histograms(systems, noun="word").axes
    assert head.get_xlabel() == "likelihood of the right word"
    assert [axes.get_title("left") for axes in (head, tail)] == ["head", "tail"]
    steps = [patch.get_data() for patch in head.patches]
    assert steps[0].values == pytest.approx([75, 25, 0, 0])
    assert steps[1].values == pytest.approx([25, 25, 25, 25])
    assert list(steps[0].edges) == [0, 0.25, 0.5, 0.75, 1]
    assert len(tail.patches) == 1  # a system without examples has no share


def test_bars_are_the_values() -> None:
    measures = {
        "accuracy (%)": {"CE": {"head": 60.0, "tail": 3.0}, "EL": {"head": 58.0, "tail": 5.0}},
        "perplexity": {"CE": {"head": 6.0, "tail": 3000.0}, "EL": {"head": 7.0}},
    }
    accuracy, perplexity = figures.likelihood_by_group(measures, log_scaled=["perplexity"]).axes
    heights = [[bar.get_height() for bar in bars] for bars in accuracy.containers]
    assert heights == [[60.0, 3.0], [58.0, 5.0]]
    left, right = (bars[0] for bars in accuracy.containers)
    assert left.get_x() + left.get_width() <= right.get_x()  # side by side
    assert [tick.get_text() for tick in accuracy.get_xticklabels()] == ["head", "tail"]
    assert (perplexity.get_yscale(), perplexity.get_ylim()[0]) == ("log", 1.0)


def test_gap_is_training_minus_test() -> None:
    (axes,) = figures.train_test_gap({"CE": {"tail": (40.0, 7.0)}, "EL": {"tail": (30.5, 8.0)}}).axes
    assert [text.get_text() for text in axes.texts] == ["+33.0", "+22.5"]


def test_intervals_and_curves() -> None:
    scores = {"macro F (%)": {"CE": (1.2, 1.0, 1.3), "EL": (1.4, 1.25, 1.6)}}
    (axes,) = figures.scores_with_intervals(scores).axes
    assert [list(line.get_xdata()) for line in axes.lines] == [[1.0, 1.3], [1.2], [1.25, 1.6], [1.4]]
    curves = {"CE": {"ppl": {"train": [(1, 300.0), (2, 40.0)], "valid": [(1, 90.0), (2, 60.0)]}}}
    figure = figures.training_curves(curves, {"ppl": "perplexity"})
    assert figure.axes[0].get_ylabel() == "perplexity, log scale"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["CE, training", "CE, validation"]


def test_one_epoch_is_the_only_tick() -> None:
    curves = {"CE": {"ppl": {"valid": [(1, 90.0)]}}, "EL": {"ppl": {"valid": [(1, 80.0)]}}}
    (axes,) = figures.training_curves(curves, {"ppl": "perplexity"}).axes
    assert list(axes.get_xticks()) == [1]


def test_long_corpora_are_thinned_but_whole() -> None:
    counts = [100_000 // rank + 1 for rank in range(1, 20_001)]
    (axes,) = figures.word_frequency(range(1, 20_001), counts, imbalance_ratio=16_667).axes
    ranks = axes.lines[0].get_xdata()
    assert (ranks[0], ranks[-1]) == (1, 20_000)
    assert len(ranks) <= 300
    assert [counts[rank - 1] for rank in ranks] == list(axes.lines[0].get_ydata())
    assert axes.texts[0].get_text() == "imbalance ratio 16,667"


def test_loss_and_its_slope() -> None:
    """CE is -log p with slope -1/p; its square root, which is nobody's loss, has -1/(2p sqrt(-log p))."""

    def cross_entropy(log_odds: Tensor) -> Tensor:
        return -torch.nn.functional.logsigmoid(log_odds)

    objectives = {"CE": cross_entropy, "root": lambda log_odds: cross_entropy(log_odds).sqrt()}
    left, right = loss_figures.loss_curves(objectives).axes
    p = torch.tensor(left.lines[0].get_xdata(), dtype=torch.float64)
    assert torch.tensor(left.lines[0].get_ydata()).numpy() == pytest.approx(-p.log().numpy())
    assert torch.tensor(right.lines[0].get_ydata()).numpy() == pytest.approx((-1 / p).numpy())
    root = -1 / (2 * p * (-p.log()).sqrt())
    assert torch.tensor(right.lines[1].get_ydata()).numpy() == pytest.approx(root.numpy())


def test_every_figure_of_a_report_fits_into_the_page(report: Report) -> None:
    found = drawings(report)
    assert [drawing.name for drawing in found] == [
        *("scores", "training_curves", "likelihood_histograms", "likelihood_by_group", "train_test_gap"),
        *("word_frequency", "encouragement"),
    ]
    for drawing in found:
        wide, narrow = drawing.draw(), drawing.draw(narrow=True, title="")
        assert narrow.get_size_inches()[0] < 4 < wide.get_size_inches()[0]
        svg = theme.inline_svg(narrow, drawing.name, 'of <"CE"> & others')
        root = ElementTree.fromstring(svg)  # well-formed
        assert root.get("aria-label") == 'of <"CE"> & others'
        assert root.get("width") is None
        ids = [element.get("id") for element in root.iter() if element.get("id")]
        assert len(set(ids)) == len(ids)
        assert all(name.startswith(f"{drawing.name}-") for name in ids)
        assert set(re.findall(r'(?:url\(|href=")#([^)"]+)', svg)) <= set(ids)
        # no colour but the variables of the page
        assert not re.findall(r"#[0-9a-f]{6}\b", re.sub(r'"[^"]*#[^"]*"', "", svg)), drawing.name
        assert not re.findall(r"(?:fill|stroke): (?!none|var\(--|url\(#)[^;\"]+", svg)
        assert not list(root.iter(f"{SVG}style"))
        assert list(root.iter(f"{SVG}text"))  # text, not outlines


@pytest.mark.parametrize("marks", [theme.MARKERS, theme.DASHES, theme.HATCHES])
def test_systems_can_be_told_apart_without_colours(marks: tuple[object, ...]) -> None:
    assert len(set(marks)) == len(theme.PALETTE)


def test_many_systems_differ_in_more_than_their_colour() -> None:
    numbers = range(len(theme.PALETTE) ** 2)
    for mark_of in (panels.marker_of, panels.dash_of, lambda number: panels.bar_style(number)["hatch"]):
        assert len({(panels.color_of(number), mark_of(number)) for number in numbers}) == len(numbers)


def test_a_system_without_a_log_keeps_the_colours_of_the_others(report: Report) -> None:
    def colors(drawn: Report) -> set[str]:
        figure = next(one for one in drawings(drawn) if one.name == "training_curves").draw()
        return {line.get_color() for axes in figure.axes for line in axes.lines}

    first, *others = report.systems
    assert colors(report) >= {theme.PALETTE[0], theme.PALETTE[1]}
    without = replace(report, systems=[replace(first, log=None), *others])
    assert colors(without) == colors(report) - {theme.PALETTE[0]}


def test_labels_tell_the_measure(report: Report) -> None:
    for drawing in drawings(report):
        figure = drawing.draw()
        assert figure.get_suptitle()
        if drawing.name != "scores":  # its panels have the metric and unit as title
            assert all(axes.get_xlabel() or axes.get_ylabel() for axes in figure.axes), drawing.name


def test_settings_and_figures_of_others_stay(python) -> None:
    program = """
import sys
import matplotlib
matplotlib.rcParams["font.size"] = 3
from eureka_nlg.report.loss_figures import encouragement_by_frequency
from eureka_nlg.report.theme import inline_svg
figure = encouragement_by_frequency({"a $b$": ([1, 10], [2.0, 0.5])})
svg = inline_svg(figure, "f", "d")
assert "a $b$" in svg, "a name is no formula"
assert matplotlib.rcParams["font.size"] == 3
assert "font-size: 3px" not in svg
assert "matplotlib.pyplot" not in sys.modules
"""
    result = python("-c", program, fresh=True)
    assert result.returncode == 0, result.stderr


def test_files_are_whole_and_the_same_each_time(tmp_path: Path) -> None:
    figure = loss_figures.encouragement_by_frequency({"beta 0.9": ([1, 10], [2.0, 0.5])})
    svg, png = theme.write_figure(figure, tmp_path / "new", "name")
    assert sorted(path.name for path in svg.parent.iterdir()) == ["name.png", "name.svg"]
    assert png.read_bytes().startswith(b"\x89PNG")
    before = svg.read_bytes()
    ElementTree.fromstring(before)
    again = loss_figures.encouragement_by_frequency({"beta 0.9": ([1, 10], [2.0, 0.5])})
    assert theme.write_figure(again, tmp_path / "new", "name")[0].read_bytes() == before
