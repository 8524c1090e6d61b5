"""What the server answers, and what it does not."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from typing import Any

import pytest

pytest.importorskip("starlette")
pytest.importorskip("httpx2")

from starlette.testclient import TestClient

from eureka_nlg.chat import server
from eureka_nlg.chat.models import ChatModel
from eureka_nlg.runs.decoding import Decoding

JSON = {"Content-Type": "application/json"}


@pytest.fixture
def client(models: list[ChatModel]) -> TestClient:
    return TestClient(server.make_app(models, ["i row"]), base_url="http://127.0.0.1:8765")


def test_every_model_answers(client: TestClient, models: list[ChatModel]) -> None:
    about = client.get("/api/models").json()
    assert [model["name"] for model in about["models"]] == ["ce", "el"]
    assert about["models"][0]["rare"].startswith("they occur at most 2 times")
    assert [model["logit_adjustment"] for model in about["models"]] == [None, None]
    assert about["persona"] == ["i row"]
    asked = {"model": 1, "turns": ["hi", "i am x", "why?"], "persona": ["i row", " "]}
    answer = client.post("/api/replies", json={**asked, "decoding": {"nbest": 2, "beam": 2}}).json()
    assert [reply["text"][-1] for reply in answer["replies"]] == ["0", "1"]
    assert ["Quokka", 2] in answer["replies"][0]["pieces"]
    (read,) = models[1].talker.read
    assert (read.turns, read.persona) == (("hi", "i am x", "why?"), ("i row",))
    tokens = client.post("/api/likelihoods", json={**asked, "raw": "a quokka"}).json()["tokens"]
    assert [token for token, _ in tokens] == ["quokka", "</s>"]


def test_options_of_the_command_hold_until_they_are_changed(models: list[ChatModel]) -> None:
    """Those that the page has no field for, and those that it leaves empty."""
    decoding = Decoding(beam=3, min_length=12, length_penalty=3.0, max_length=50, seed=7)
    app = TestClient(server.make_app(models, decoding=decoding), base_url="http://127.0.0.1:8000")
    for asked, wanted in (
        ({}, decoding),
        ({"beam": 2, "seed": None, "max_length": None}, replace(decoding, beam=2, seed=None, max_length=64)),
    ):
        assert (
            app.post("/api/replies", json={"model": 0, "turns": ["hi"], "decoding": asked}).status_code == 200
        )
        assert models[0].talker.asked[-1] == wanted


def test_every_response_has_the_headers(client: TestClient) -> None:
    for response in (
        client.get("/"),
        client.get("/chat.js"),
        client.get("/nothing"),
        client.post("/api/replies", json={}),
        client.get("/", headers={"Host": "evil.example"}),
    ):
        policy = response.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["cache-control"] == "no-store"
    page = client.get("/").text
    assert "style=" not in page  # the policy forbids it
    assert "onclick" not in page


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "0.0.0.0"])
def test_other_hosts_are_refused(client: TestClient, host: str, models: list[ChatModel]) -> None:
    """A name of somebody else that is pointed at this machine does not reach the models."""
    for response in (
        client.get("/api/models", headers={"Host": host}),
        client.post("/api/replies", json={"model": 0, "turns": ["hi"]}, headers={"Host": host}),
    ):
        assert response.status_code == 400
    assert models[0].talker.read == []
    assert client.get("/", headers={"Host": "localhost:9"}).status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1:9999"}, 403),
        ({"Origin": "https://127.0.0.1:8765"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Content-Type": "text/plain"}, 415),
        ({"Origin": "http://127.0.0.1:8765", "Sec-Fetch-Site": "same-origin"}, 200),
    ],
)
def test_other_pages_are_refused(
    client: TestClient, headers: dict[str, str], status: int, models: list[ChatModel]
) -> None:
    body = json.dumps({"model": 0, "turns": ["hi"]})
    assert client.post("/api/replies", content=body, headers={**JSON, **headers}).status_code == status
    assert len(models[0].talker.read) == (status == 200)


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"no json", 400, "expected JSON"),
        (b"[" * 50_000, 400, "expected JSON"),
        (b"[]", 400, "expected a JSON object"),
        (b'"' + b"x" * 70_000 + b'"', 413, "at most 65,536 bytes"),
        ({"model": 2}, 422, "model 2: expected a number below 2"),
        ({"model": True}, 422, "model True"),
        ({"model": 0, "turns": "hi"}, 422, "turns: expected texts"),
        ({"model": 0, "turns": ["x" * 2001]}, 422, "turns: at most 200 texts of 2,000"),
        ({"model": 0, "turns": ["hi"], "persona": ["x"] * 21}, 422, "persona: at most 20"),
        ({"model": 0, "turns": ["hi"], "decoding": {"beams": 3}}, 422, "decoding: expected some of"),
        ({"model": 0, "turns": ["hi"], "decoding": {"beam": "3"}}, 422, "beam '3': expected a number"),
        ({"model": 0, "turns": ["hi"], "decoding": {"beam": 50}}, 422, "at most 256 tokens and 20"),
        ({"model": 0, "turns": ["hi"], "decoding": {"max_length": 999}}, 422, "at most 256 tokens"),
        ({"model": 0, "turns": ["fail"]}, 422, "this cannot be said"),
    ],
)
def test_what_does_not_fit_is_said(client: TestClient, body: Any, status: int, said: str) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body)
    response = client.post("/api/replies", content=content, headers=JSON)
    assert response.status_code == status
    assert said in response.json()["error"]


def test_rates_are_limited(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_MOST_A_MINUTE", 3)
    asked = {"model": 0, "turns": ["hi"]}
    statuses = [client.post("/api/replies", json=asked).status_code for _ in range(4)]
    assert statuses == [200, 200, 200, 429]


def test_one_decodes_and_few_wait(
    models: list[ChatModel], client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_MOST_WAITING", 2)
    begun, go_on, at_once = threading.Semaphore(0), threading.Event(), []
    running: list[int] = []
    answer = models[0].talker.replies

    def slowly(*arguments: Any) -> Any:
        running.append(1)
        at_once.append(len(running))
        begun.release()
        assert go_on.wait(30)
        running.pop()
        return answer(*arguments)

    monkeypatch.setattr(models[0].talker, "replies", slowly)
    asked = {"model": 0, "turns": ["hi"]}
    statuses: list[int] = []
    with client:  # one event loop for all
        threads = [
            threading.Thread(
                target=lambda: statuses.append(client.post("/api/replies", json=asked).status_code)
            )
            for _ in range(3)
        ]
        for thread in threads:
            thread.start()
        assert begun.acquire(timeout=30)
        while not statuses:  # the third is refused while the first decodes
            threads[0].join(0.05)
        go_on.set()
        for thread in threads:
            thread.join(30)
    assert sorted(statuses) == [200, 200, 429]
    assert at_once == [1, 1]
