"""The server of `eureka serve`, spoken to without a socket."""

from __future__ import annotations

import asyncio
import json
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from targets.base import HOSTILE, JSON_WORDS, One, Refused, Target, mutated_bytes, mutated_tree

__all__ = ["TARGETS"]

_ASKED = {
    "model": 0,
    "turns": ["hi", "i am x", "why?"],
    "persona": ["i row"],
    "decoding": {"beam": 2, "nbest": 2, "max_length": 20},
    "raw": "a quokka",
}
_HEADERS = {
    "host": (
        "127.0.0.1:8765",
        "localhost",
        "evil.example",
        "127.0.0.1.evil.example",
        "",
        "0.0.0.0",
        "[::1]",
        "\xff",
    ),
    "origin": ("http://127.0.0.1:8765", "null", "http://evil.example", "", "file://", "\xff"),
    "content-type": ("application/json", "text/plain", "application/json; charset=x", "", "a" * 5000),
    "sec-fetch-site": ("same-origin", "cross-site", "none", ""),
    "content-length": ("10", "-1", "x", "99999999999999"),
}


class _Talker:
    def replies(self, conversations: Any, decoding: Any, options: Any = ()) -> Any:
        from eureka_nlg.runs.base import Reply

        return [[Reply("a quokka", "a quokka", -1.0)] * decoding.nbest]

    def likelihoods(self, conversation: Any, reply: Any) -> list[tuple[str, float]]:
        return [(word, -1.0) for word in reply.raw.split()]

    def words(self, text: str) -> list[str]:
        return text.split()


def _served(folder: Path) -> One:
    from eureka_nlg.chat import server
    from eureka_nlg.chat.models import ChatModel
    from eureka_nlg.dialogue.run_data import TrainingTargets

    folder.mkdir()
    run: Any = SimpleNamespace(
        kind="fairseq",
        weights=(Path("checkpoint_best.pt"),),
        training_targets=lambda: TrainingTargets([Path("train.txt")], iter(["a a a quokka"] * 2)),
    )
    server._MOST_A_MINUTE = 10**9
    app = server.make_app([ChatModel("ce", run, _Talker())])

    def one(pick: random.Random) -> object:
        paths = (
            "/api/replies",
            "/api/replies",
            "/api/likelihoods",
            "/",
            "/chat.js",
            "/../hacked",
            "/%2e%2e/x",
            "//x",
        )
        path, method = (
            pick.choice(paths),
            pick.choice(("POST", "POST", "POST", "POST", "GET", "PUT", "OPTIONS")),
        )
        headers = {name: values[0] for name, values in _HEADERS.items() if name != "content-length"}
        for name, values in _HEADERS.items():
            if pick.random() < 0.06:
                headers[name] = pick.choice(values)
        text = json.dumps(mutated_tree(pick, _ASKED, HOSTILE)) if pick.random() < 0.8 else json.dumps(_ASKED)
        body = mutated_bytes(pick, [text], JSON_WORDS) if pick.random() < 0.2 else text.encode()
        body *= pick.choice((1,) * 30 + (200,))
        Path("request").write_bytes(json.dumps([method, path, headers]).encode() + b"\n" + body)
        status, sent = asyncio.run(_answer(app, method, path, headers, body))
        lawful = headers["host"].partition(":")[0] in server.HOSTS and (
            path.startswith("/api") is False or headers.get("origin") in (None, f"http://{headers['host']}")
        )
        assert status < 500, (status, sent[:200])
        assert lawful or status >= 400, (status, headers)
        if status >= 400:
            raise Refused(f"status {status}")
        return sent

    return one


async def _answer(
    app: Any, method: str, path: str, headers: dict[str, str], body: bytes
) -> tuple[int, bytes]:
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "scheme": "http",
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers.items()],
        "server": ("127.0.0.1", 8765),
        "client": ("127.0.0.1", 1),
    }
    pieces = [body[at : at + 4096] for at in range(0, len(body), 4096)] or [b""]
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        if not pieces:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces)}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    policy = dict(sent[0]["headers"]).get(b"content-security-policy", b"")
    assert b"default-src 'none'" in policy
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent)


TARGETS = [Target("server", "requests to eureka serve", 20, 80, _served)]
