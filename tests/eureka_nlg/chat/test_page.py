"""The page in a browser: one writes once, all models answer, rare words are marked, text stays text."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.importorskip("selenium")
pytest.importorskip("uvicorn")
pytest.importorskip("starlette")

import uvicorn
from browser import CHROMEDRIVER, CHROMIUM, browser, show, until, wider_than
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from eureka_nlg.chat.models import ChatModel
from eureka_nlg.chat.server import make_app

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (CHROMIUM and CHROMEDRIVER), reason="needs chromium and chromedriver"),
]


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with browser(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


@pytest.fixture
def adjustment() -> float | None:
    """Of the models' logits."""
    return None


@pytest.fixture
def url(models: list[ChatModel], adjustment: float | None) -> Iterator[str]:
    """The page of two models that answer at once."""
    for model in models:
        model.logit_adjustment = adjustment
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()  # who comes before the server is ready waits
        config = uvicorn.Config(make_app(models, ["i row"]), log_level="error", lifespan="off")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
        server.should_exit = True
        thread.join()


Open = Callable[..., Any]


@pytest.fixture
def open_page(driver: Any, url: str) -> Open:
    def open_it(width: int = 1280, theme: str = "light") -> Any:
        show(driver, url, width, theme)
        until(lambda: driver.find_elements(By.CSS_SELECTOR, "#models li"))
        return driver

    return open_it


def texts(driver: Any, selector: str) -> list[str]:
    return [node.text for node in driver.find_elements(By.CSS_SELECTOR, selector)]


def say(driver: Any, text: str, number: int = 2) -> None:
    """Write, and wait for so many replies in all."""
    driver.find_element(By.ID, "message").send_keys(text, Keys.ENTER)
    until(lambda: len(driver.find_elements(By.CSS_SELECTOR, ".reply .actions")) == number)


def test_all_models_answer_and_go_on(open_page: Open, models: list[ChatModel]) -> None:
    driver = open_page()
    assert driver.title == "ce, el · eureka"
    say(driver, "hello <i>there</i>")
    assert texts(driver, ".said p") == ["hello <i>there</i>"]
    assert texts(driver, ".reply h2") == ["ce", "el"]
    assert texts(driver, ".reply p")[1] == "el: 1 turns, a Quokka! <b>zebra</b> 0"  # as text
    assert not driver.find_elements(By.CSS_SELECTOR, "#log b, #log i")
    left, right = (node.rect for node in driver.find_elements(By.CSS_SELECTOR, ".reply"))
    assert left["y"] == right["y"]  # side by side
    mark = driver.find_element(By.CSS_SELECTOR, ".reply mark.rare")
    assert (mark.text, mark.get_attribute("title")) == ("Quokka", "2 in training")
    assert "zebra" in texts(driver, ".reply mark.unseen")
    for choice in (1, 0, 1):  # the last one counts
        driver.find_elements(By.XPATH, "//button[text()='All go on with this']")[choice].click()
    persona = driver.find_element(By.ID, "persona")
    persona.clear()
    persona.send_keys("i sing\ni dance")
    say(driver, "and?", 4)
    read = [model.talker.read[-1] for model in models]
    assert [conversation.persona for conversation in read] == [("i sing", "i dance")] * 2
    assert read[0].turns[1] == "el: 1 turns, a Quokka! <b>zebra</b> 0"  # what was chosen, as text
    assert read[1].turns[1] == "el: 1 turns, a quokka ! <b>zebra</b> 0"  # as the model wrote it
    driver.find_elements(By.XPATH, "//button[text()='How likely?']")[2].click()
    until(lambda: texts(driver, ".tokens span") == ["quokka0.05", "</s>0.80"])
    driver.find_element(By.ID, "undo").click()
    assert texts(driver, ".said p") == ["hello <i>there</i>"]
    driver.find_element(By.ID, "reset").click()
    assert texts(driver, ".exchange") == []
    assert driver.find_element(By.ID, "empty").is_displayed()


def test_nothing_goes_wrong_and_nothing_comes_from_elsewhere(open_page: Open, url: str) -> None:
    driver = open_page()
    driver.get_log("browser")
    say(driver, "hello")
    assert [entry for entry in driver.get_log("browser") if entry["level"] != "INFO"] == []
    events = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    requests = [event["params"] for event in events if event["method"] == "Network.requestWillBeSent"]
    sent = [each["request"]["url"] for each in requests]
    assert {each for each in sent if not each.startswith((url, "data:"))} == set()
    assert f"{url}api/replies" in sent


def test_what_fails_is_said_and_the_message_stays(open_page: Open) -> None:
    driver = open_page()
    message = driver.find_element(By.ID, "message")
    message.send_keys("fail", Keys.ENTER)
    until(lambda: driver.find_element(By.ID, "problem").is_displayed())
    assert driver.find_element(By.ID, "problem").text == "this cannot be said"
    assert message.get_attribute("value") == "fail"
    assert texts(driver, ".exchange") == []


def test_options_reach_the_models(open_page: Open) -> None:
    driver = open_page()
    driver.find_element(By.XPATH, "//summary[contains(., 'Decoding')]").click()
    top_p, beam = (driver.find_element(By.ID, f"option-{name}") for name in ("top_p", "beam"))
    opacity = "return getComputedStyle(arguments[0].parentNode).opacity"
    assert [driver.execute_script(opacity, each) for each in (top_p, beam)] == ["0.5", "1"]
    driver.find_element(By.ID, "option-nbest").send_keys(Keys.BACKSPACE, "3")
    say(driver, "hello")
    assert len(driver.find_elements(By.CSS_SELECTOR, ".reply:first-child li")) == 3
    driver.find_element(By.ID, "option-sampling").click()
    assert driver.find_element(By.ID, "decoding-said").text == "sampling"
    assert [driver.execute_script(opacity, each) for each in (top_p, beam)] == ["1", "0.5"]


@pytest.mark.parametrize("adjustment", [None, 0.2])
def test_that_replies_are_adjusted_is_said(open_page: Open, adjustment: float | None) -> None:
    driver = open_page(width=390)
    said = {None: "greedy", 0.2: "greedy, logit adjustment 0.2"}
    assert driver.find_element(By.ID, "decoding-said").text == said[adjustment]
    say(driver, "hello")
    driver.find_elements(By.XPATH, "//button[text()='How likely?']")[0].click()
    until(lambda: texts(driver, ".tokens span"))
    assert texts(driver, ".tokens .note") == ([] if adjustment is None else ["before the logit adjustment"])
    assert wider_than(driver, 390, ".skip") == []


def test_a_sign_while_a_model_writes(open_page: Open, models: list[ChatModel], monkeypatch) -> None:
    driver = open_page()
    go_on, answer = threading.Event(), models[1].talker.replies

    def slowly(*arguments: Any) -> Any:
        assert go_on.wait(30)
        return answer(*arguments)

    monkeypatch.setattr(models[1].talker, "replies", slowly)
    driver.find_element(By.ID, "message").send_keys("hello", Keys.ENTER)
    until(lambda: texts(driver, ".reply .actions"))  # the first is there
    assert len(driver.find_elements(By.CSS_SELECTOR, ".reply .wait")) == 1
    assert not driver.find_element(By.ID, "send").is_enabled()
    go_on.set()
    until(lambda: len(texts(driver, ".reply .actions")) == 2)
    assert driver.find_elements(By.CSS_SELECTOR, ".wait") == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nothing_is_wider_than_a_phone(open_page: Open, theme: str) -> None:
    driver = open_page(width=390, theme=theme)
    driver.execute_script("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    say(driver, "x" * 200)
    say(driver, "hello", 4)
    footer, reply = (
        driver.execute_script("return document.querySelector(arguments[0]).getBoundingClientRect()", selector)
        for selector in ("footer", ".exchange:last-child .reply:last-child")
    )
    assert reply["bottom"] <= footer["top"]  # the last reply can be seen
    driver.find_elements(By.XPATH, "//button[text()='How likely?']")[0].click()
    until(lambda: texts(driver, ".tokens span"))
    assert driver.execute_script("return document.documentElement.scrollWidth") == 390
    assert wider_than(driver, 390, ".skip") == []
    ground = driver.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") == (theme == "light")
    first, second, *_ = (node.rect["y"] for node in driver.find_elements(By.CSS_SELECTOR, ".reply"))
    assert first < second  # one below the other
