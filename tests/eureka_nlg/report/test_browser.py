"""The page in a browser: it searches, sorts, changes theme, and fits on a phone."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("selenium")

from browser import CHROMEDRIVER, CHROMIUM, browser, show, until, wider_than
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

from eureka_nlg.report.model import Report, System
from eureka_nlg.report.page import render

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (CHROMIUM and CHROMEDRIVER), reason="needs chromium and chromedriver"),
]


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with browser(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


Open = Callable[..., Any]


@pytest.fixture
def open_page(driver: Any, html: str, tmp_path: Path) -> Open:
    """Open the page, as wide as asked for, on a device that prefers a theme."""

    def open_it(width: int = 1280, theme: str = "light", html: str = html) -> Any:
        (tmp_path / "report.html").write_text(html, encoding="utf-8")
        show(driver, (tmp_path / "report.html").as_uri(), width, theme)
        return driver

    return open_it


def rows(driver: Any) -> list[str]:
    # in one call: the driver is asked anew for the text of each element
    script = "return [...document.querySelectorAll('#table tbody tr')].map(row => row.innerText)"
    found: list[str] = driver.execute_script(script)
    return found


def search(driver: Any, text: str, expected: str) -> None:
    box = driver.find_element(By.ID, "search")
    box.clear()
    box.send_keys(text)
    until(lambda: driver.find_element(By.ID, "status").text == expected)


def test_nothing_goes_wrong_and_nothing_is_fetched(open_page: Open) -> None:
    driver = open_page()
    assert driver.title == "A <title>"
    assert [entry for entry in driver.get_log("browser") if entry["level"] != "INFO"] == []
    events = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    sent = [event["params"] for event in events if event["method"] == "Network.requestWillBeSent"]
    urls = {event["request"]["url"] for event in sent if not event["request"]["url"].startswith("data:")}
    assert urls == {driver.current_url}


def test_search_finds_in_every_column_and_shows_where(open_page: Open) -> None:
    driver = open_page()
    assert driver.find_element(By.ID, "status").text == "130 examples"
    search(driver, "QUOKKA", "1 of 130 examples")
    assert "quokka </script><script>throw 1</script>" in rows(driver)[0]  # as text
    mark = driver.find_element(By.CSS_SELECTOR, "#table mark.rare")
    assert (mark.text, mark.get_attribute("title")) == ("quokka", "3 in training")
    assert mark.find_element(By.CSS_SELECTOR, "mark.hit").text == "quokka"
    search(driver, "hello 12 number", "12 of 130 examples")  # all words; 12, 112, 120 to 129
    search(driver, "zebras", "130 of 130 examples".replace("130 of ", ""))
    opened = driver.find_element(By.CSS_SELECTOR, "#table tbody details")
    assert opened.get_attribute("open")  # the hit is in the persona, which is closed otherwise
    search(driver, "no such word", "0 of 130 examples")
    assert rows(driver) == []


def test_rows_come_in_pieces(open_page: Open) -> None:
    driver = open_page()
    assert len(rows(driver)) == 10
    driver.execute_script("window.scrollTo(0, document.documentElement.scrollHeight)")
    time.sleep(0.2)
    assert len(rows(driver)) == 10  # the sections below are to be reached too
    for expected in (50, 90, 130):
        driver.execute_script("document.getElementById('more').click()")
        assert len(rows(driver)) == expected
    assert not driver.find_element(By.ID, "more").is_displayed()


def test_sorting_by_header_with_the_keyboard(open_page: Open) -> None:
    driver = open_page()
    header = driver.find_element(By.CSS_SELECTOR, 'th[data-sort="reference"]')
    header.find_element(By.TAG_NAME, "button").send_keys(Keys.ENTER)
    assert header.get_attribute("aria-sort") == "ascending"
    assert rows(driver)[0].split("\n")[0].startswith("1")
    header.find_element(By.TAG_NAME, "button").send_keys(Keys.SPACE)
    assert header.get_attribute("aria-sort") == "descending"
    assert rows(driver)[0].split()[0] == "8"  # the zebra
    assert len(driver.find_elements(By.CSS_SELECTOR, "th[aria-sort]")) == 1


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_what_can_be_clicked_shows_it_under_the_pointer(open_page: Open, theme: str) -> None:
    driver = open_page(theme=theme)

    def look(selector: str) -> tuple[str, str]:
        return tuple(
            driver.execute_script(
                "const of = getComputedStyle(document.querySelector(arguments[0]));"
                "return [of.textDecorationLine, of.borderTopWidth === '0px' ? '' : of.borderTopColor];",
                selector,
            )
        )

    for selector in ("#theme", "#direction", "#more", 'th[data-sort="reference"] button', "main summary"):
        element = driver.find_element(By.CSS_SELECTOR, selector)
        driver.execute_script("arguments[0].scrollIntoView({ block: 'center' })", element)
        ActionChains(driver).move_to_element(driver.find_element(By.TAG_NAME, "h1")).perform()
        before = look(selector)
        ActionChains(driver).move_to_element(element).perform()
        assert look(selector) != before, selector


def test_sorting_by_what_a_reply_is_like(open_page: Open) -> None:
    driver = open_page()
    sort = Select(driver.find_element(By.ID, "sort"))
    sort.select_by_value("rare:1")  # the most rare words first
    assert "quokka" in rows(driver)[0]
    sort.select_by_value("copies:0")
    assert "given \u00d744" in rows(driver)[0]
    driver.find_element(By.ID, "direction").click()
    assert "given \u00d743" in rows(driver)[0]
    sort.select_by_value("f1:0")
    assert "F1 100" in rows(driver)[0]


def test_filters(open_page: Open) -> None:
    driver = open_page()
    driver.find_element(By.ID, "only-rare").click()
    until(lambda: driver.find_element(By.ID, "status").text == "1 of 130 examples")
    driver.find_element(By.ID, "only-rare").click()
    driver.find_element(By.ID, "differ").click()
    until(lambda: driver.find_element(By.ID, "status").text == "130 examples")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nothing_is_wider_than_a_phone(open_page: Open, html: str, theme: str) -> None:
    path = f"runs/{'a_folder_with_a_long_name/' * 3}checkpoint_best.pt"
    driver = open_page(width=390, theme=theme, html=html.replace("<span>checkpoint_best.pt", f"<span>{path}"))
    driver.execute_script("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    assert driver.execute_script("return document.documentElement.scrollWidth") == 390
    outside = wider_than(driver, 390, ".scroll, pre, svg, .skip, .unseen-text, thead")
    assert outside == []
    # the sentences above a table, and two systems side by side, are read without scrolling
    tables = driver.execute_script("""
        return [...document.querySelectorAll("caption:not(.unseen-text), .scores tr > :nth-child(3)")].map(
            (each) => each.getBoundingClientRect().right);
    """)
    assert len(tables) > 4
    assert max(tables) <= 390
    smallest = driver.execute_script("""
        return Math.min(...[...document.querySelectorAll(".narrow svg text")].map((text) => {
            const svg = text.ownerSVGElement;
            return parseFloat(getComputedStyle(text).fontSize) * svg.clientWidth / svg.viewBox.baseVal.width;
        }));
    """)
    assert smallest >= 9.5  # CSS pixels


def test_theme_follows_the_device_until_it_is_chosen(open_page: Open) -> None:
    driver = open_page(theme="dark")

    def colors() -> tuple[str, str, str]:
        return tuple(
            driver.execute_script(
                "return getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]", *of
            )
            for of in (("body", "backgroundColor"), ("body", "color"), (".wide svg text", "fill"))
        )

    dark = colors()
    button = driver.find_element(By.ID, "theme")
    button.click()
    assert button.text == "Theme: light"
    light = colors()
    assert all(one != other for one, other in zip(dark, light))  # the text in the figures too
    button.click()
    assert (button.text, colors()) == ("Theme: dark", dark)
    button.click()
    assert button.text == "Theme: auto"


def test_of_thousands_of_rows_a_few_are_in_the_page(
    open_page: Open, make_report: Callable[..., Report]
) -> None:
    number = 8000
    systems = [
        System(name, [f"reply {index} of a model" for index in range(number)]) for name in ("CE", "Eureka")
    ]
    texts = [f"<partner> some words {index} and more" for index in range(number)]
    changes = {"scores": None, "analysis": None}  # nothing to draw
    page = render(make_report(contexts=texts, references=texts, systems=systems, **changes))
    driver = open_page(html=page)
    assert 0 < len(rows(driver)) < 200
    num_found = sum("79" in str(index) for index in range(number))
    search(driver, "words 79 model", f"{num_found} of 8,000 examples")
    assert 0 < len(rows(driver)) < 200


def test_what_is_shown_is_in_the_address(open_page: Open) -> None:
    driver = open_page()
    driver.find_element(By.ID, "search").send_keys("quokka &")
    Select(driver.find_element(By.ID, "sort")).select_by_value("f1:1")
    driver.find_element(By.ID, "direction").click()
    driver.find_element(By.ID, "differ").click()
    until(lambda: "differ" in driver.current_url and "search" in driver.current_url)
    address, shown = driver.current_url, rows(driver)
    assert shown
    assert "-f1" not in address  # the largest stand first by default: turned round, they stand last
    driver.get("about:blank")
    driver.get(address)
    assert driver.find_element(By.ID, "search").get_attribute("value") == "quokka &"
    assert driver.find_element(By.ID, "sort").get_attribute("value") == "f1:1"
    assert driver.find_element(By.ID, "differ").is_selected()
    assert rows(driver) == shown


@pytest.mark.parametrize(
    "fragment", ["#replies?sort=-nonsense:9&search=", "#replies?", "#scores", "#%E0%A4%A"]
)
def test_an_address_that_is_none_of_ours_does_no_harm(open_page: Open, fragment: str) -> None:
    driver = open_page()
    until(lambda: rows(driver))  # on a busy machine they come later than the page
    before = rows(driver)
    address = driver.current_url.partition("#")[0] + fragment
    driver.get("about:blank")
    driver.get(address)
    until(lambda: rows(driver))
    assert rows(driver) == before
