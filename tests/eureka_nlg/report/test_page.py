"""The page needs nothing but itself, says what it lacks, and shows text as text."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

import eureka_nlg.report.page
from eureka_nlg.errors import UserError
from eureka_nlg.page import LOOK
from eureka_nlg.report.model import Report, System
from eureka_nlg.report.page import render, replies_data, write_page

CSS = LOOK / "theme.css"


class Page(HTMLParser):
    """Tags with their attributes, and the text outside of scripts and styles."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.scripts: list[str] = []
        self._inside: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self._inside.append(tag)
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style"):
            self._inside.pop()

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.scripts[-1] += data
        else:
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def test_nothing_is_loaded(page: Page) -> None:
    for tag, attributes in page.tags:
        for name in ("src", "href", "action", "data", "poster", "srcset"):
            value = attributes.get(name)
            assert value is None or value.startswith(("#", "data:")), (tag, name, value)
    (policy,) = (meta for meta in page.all("meta") if meta.get("http-equiv"))
    digest = base64.b64encode(hashlib.sha256(page.scripts[-1].encode()).digest()).decode()
    assert policy["content"] == (
        "default-src 'none'; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    )
    assert not any("@import" in script or "fetch(" in script for script in page.scripts)


def test_data_cannot_act_as_markup(page: Page, report: Report) -> None:
    # the style, the data, the script of the page: what the data hold opens no further one
    assert [tag for tag, _ in page.tags if tag in ("script", "style")] == ["style", "script", "script"]
    assert not page.all("img")
    assert not page.all("b") or all("onerror" not in attributes for _, attributes in page.tags)
    assert json.loads(page.scripts[1]) == replies_data(report)
    assert "49" not in page.text.partition("Something:")[2][:200]  # templates in data are not rendered
    assert page.text.count("<img src=x onerror=alert(1)>") >= 4  # facts of two systems, manifest, note


def test_references_inside_the_page_resolve(page: Page) -> None:
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in page.tags:
        href = attributes.get("href") or ""
        assert not href.startswith("#") or href[1:] in ids, href
        for name in ("aria-labelledby", "for"):
            assert attributes.get(name) is None or attributes[name] in ids


def test_screen_readers_are_served(page: Page) -> None:
    (root,) = page.all("html")
    assert root["lang"] == "en"
    assert all(attributes.get("scope") for attributes in page.all("th"))
    pictures = page.all("svg")
    assert len(pictures) == 14  # seven figures, wide and narrow
    assert all(picture["role"] == "img" and picture["aria-label"] for picture in pictures)
    assert len(page.all("h1")) == 1


def test_scores_are_marked(page: Page) -> None:
    text = " ".join(page.text.split())
    assert "significantly better than CE: 0.700 0.610 to 0.800 p < 0.001" in text
    assert "significantly different from CE: 8.00 p = 0.010" in text


def test_replies_data(report: Report) -> None:
    data = replies_data(report)
    assert data["names"] == ["CE", "A & <B>"]
    assert data["rows"][7][1] == report.references[7]
    assert data["rare"] == {"quokka": 3, "zebra": 25}
    assert "hello" not in data["unseen"]  # contexts are not judged
    assert {"number", "0"} <= set(data["unseen"])
    assert "reply" not in data["unseen"]
    assert data["copies"][3] == [44, 1]  # 130 replies, every third alike
    # "reply 0" and "reply 3" share one word of two each
    assert data["f1"][3] == [50, 80]


def test_options_that_differ_are_told(page: Page) -> None:
    text = " ".join(page.text.split())
    different = text.partition("What differs between the trainings")[2].partition("All options")[0]
    assert "nameCEA & <B>" in different
    assert "beta" not in different
    assert "seed" not in different


def test_what_is_missing_is_said(make_report: Callable[..., Report]) -> None:
    systems = [System("only", [""] * 130)]
    missing = {section: [f"no {section} here"] for section in ("scores", "training", "likelihood", "replies")}
    page = Page(
        render(
            make_report(
                systems=systems, scores=None, rare=None, analysis=None, manifest=None, missing=missing
            )
        )
    )
    assert not page.all("svg")
    for section in missing:
        assert f"no {section} here" in page.text


def test_systems_and_contexts_must_match(make_report: Callable[..., Report]) -> None:
    with pytest.raises(UserError, match="CE: 2 lines for 130 contexts"):
        make_report(systems=[System("CE", ["a", "b"])])
    with pytest.raises(UserError, match="different names"):
        make_report(systems=[System("CE", [""] * 130)] * 2)


def test_the_file_is_whole_or_not_there(
    report: Report, html: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "report.html"
    write_page(report, out)
    assert out.read_text(encoding="utf-8") == html  # and the same each time
    monkeypatch.setattr(eureka_nlg.report.page, "render", lambda _: "new")
    monkeypatch.setattr(eureka_nlg.report.page.os, "replace", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_page(report, out)
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def luminance(color: str) -> float:
    """Relative luminance after WCAG 2."""
    channels = [int(color[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_contrast(theme: int) -> None:
    colors = {
        name: pair[theme]
        for name, *pair in re.findall(r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)", CSS.read_text())
    }

    def contrast(name: str, ground: str) -> float:
        dark, light = sorted((luminance(colors[name]), luminance(colors[ground])))
        return (light + 0.05) / (dark + 0.05)

    for name in ("ink", "muted", "link", "up", "down", "rare"):
        for ground in ("ground", "raised"):
            assert contrast(name, ground) >= 4.5, (name, ground)  # text, level AA
    assert contrast("ink", "hit") >= 4.5
    series = [name for name in colors if name.startswith("series-")]
    assert len(series) == 8
    for name in series:
        assert contrast(name, "ground") >= 3.0, name  # graphics, level AA


def test_scores_that_mean_nothing_have_a_warning(report: Report) -> None:
    assert report.scores is not None
    scores = replace(report.scores, warnings={"A & <B>": ["50 % of the replies are <empty>"]})
    html = render(replace(report, scores=scores))
    assert '<p class="warning"><b>A &amp; &lt;B&gt;:</b> 50 % of the replies are &lt;empty&gt;.</p>' in html
