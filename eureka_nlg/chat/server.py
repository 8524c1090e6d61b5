"""A web page on this machine where several models answer the same messages side by side.

The server stores nothing: the page holds the conversation and sends it with every request. The server answers
only requests that are addressed to it (Host) and come from its own page (Origin), limits their size and
number, and decodes one reply at a time.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from eureka_nlg.chat.models import ChatModel
from eureka_nlg.chat.session import DEFAULTS
from eureka_nlg.errors import UserError, require
from eureka_nlg.limits import parse_json
from eureka_nlg.page import LOOK
from eureka_nlg.runs.base import Conversation, Reply
from eureka_nlg.runs.decoding import Decoding

__all__ = ["HOSTS", "make_app"]

HOSTS = ("127.0.0.1", "localhost")
_PAGE = Path(__file__).parent / "page"
_FILES = {
    "/": ("text/html", [_PAGE / "chat.html"]),
    "/chat.css": ("text/css", [LOOK / "theme.css", _PAGE / "chat.css"]),
    "/chat.js": ("text/javascript", [LOOK / "theme.js", _PAGE / "chat.js"]),
}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_MOST_BYTES = 64 * 1024  # in a request
_MOST_SIGNS, _MOST_TURNS, _MOST_SENTENCES = 2000, 200, 20  # in a turn; in a conversation; in a persona
_MOST_TOKENS, _MOST_BEAMS = 256, 20  # in a reply; in a search
_MOST_WAITING = 16  # requests that are not answered yet
_MOST_A_MINUTE = 240


class _Refused(Exception):
    """A request that is refused.

    Args:
        status: HTTP status.
        message: the reason.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class _Limits:
    """Limits how many requests wait, and how many there are in a minute."""

    def __init__(self) -> None:
        self._waiting = 0
        self._times: deque[float] = deque()

    def __enter__(self) -> None:
        now = time.monotonic()
        while self._times and self._times[0] < now - 60:
            self._times.popleft()
        if len(self._times) >= _MOST_A_MINUTE:
            raise _Refused(429, f"more than {_MOST_A_MINUTE} requests in a minute; wait a little")
        if self._waiting >= _MOST_WAITING:
            raise _Refused(429, f"{self._waiting} requests are waiting already; wait for their replies")
        self._times.append(now)
        self._waiting += 1

    def __exit__(self, *_: object) -> None:
        self._waiting -= 1


def make_app(
    models: Sequence[ChatModel], persona: Sequence[str] = (), decoding: Decoding | None = None
) -> Any:
    """The application, for any ASGI server.

    Args:
        models: the models that answer.
        persona: persona sentences that the page begins with.
        decoding: options of decoding that the page begins with; None for those of a chat.

    Raises:
        MissingExtraError: starlette is not installed.
    """
    applications = require("starlette.applications", extra="serve")
    responses = require("starlette.responses", extra="serve")
    routing = require("starlette.routing", extra="serve")
    middleware = require("starlette.middleware", extra="serve")
    hosts = require("starlette.middleware.trustedhost", extra="serve")
    anyio = require("anyio", extra="serve")
    limits, one_at_a_time = _Limits(), anyio.CapacityLimiter(1)
    first = decoding or Decoding(**DEFAULTS)
    described = {
        "models": [_description(model) for model in models],
        "persona": list(persona),
        "decoding": {option.name: getattr(first, option.name) for option in fields(Decoding)},
        "limits": {"signs": _MOST_SIGNS, "turns": _MOST_TURNS, "sentences": _MOST_SENTENCES},
    }

    def file(path: str) -> Any:
        kind, parts = _FILES[path]
        content = "\n".join(part.read_text(encoding="utf-8") for part in parts)

        async def endpoint(request: Any) -> Any:
            return responses.Response(content, media_type=kind)

        return routing.Route(path, endpoint, methods=["GET"])

    def api(path: str, work: Any) -> Any:
        async def endpoint(request: Any) -> Any:
            try:
                _check_origin(request.headers)
                asked = _asked(await _body(request), models, first)
                with limits:
                    answer = await anyio.to_thread.run_sync(work, asked, limiter=one_at_a_time)
                return responses.JSONResponse(answer)
            except _Refused as refused:
                return responses.JSONResponse({"error": str(refused)}, status_code=refused.status)
            except UserError as error:
                return responses.JSONResponse({"error": str(error)}, status_code=422)

        return routing.Route(path, endpoint, methods=["POST"])

    async def about(request: Any) -> Any:
        return responses.JSONResponse(described)

    routes = [*map(file, _FILES), routing.Route("/api/models", about, methods=["GET"])]
    routes += [api("/api/replies", _replies), api("/api/likelihoods", _likelihoods)]
    checks = middleware.Middleware(hosts.TrustedHostMiddleware, allowed_hosts=list(HOSTS), www_redirect=False)
    return _with_headers(applications.Starlette(routes=routes, middleware=[checks]))


class _Asked:
    """The checked content of a request."""

    def __init__(self, values: Mapping[str, Any], models: Sequence[ChatModel], first: Decoding) -> None:
        number = values.get("model")
        if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < len(models):
            raise _Refused(422, f"model {number!r}: expected a number below {len(models)}")
        self.model = models[number]
        turns = _texts(values, "turns", _MOST_TURNS)
        persona = _texts(values, "persona", _MOST_SENTENCES)
        self.conversation = Conversation(tuple(turns), tuple(each for each in persona if each.strip()))
        options = values.get("decoding", {})
        known = {option.name: DEFAULTS.get(option.name, option.default) for option in fields(Decoding)}
        if not isinstance(options, dict) or not options.keys() <= known.keys():
            raise _Refused(422, f"decoding: expected some of {', '.join(sorted(known))}")
        # what is not asked for is as the server was started; null is the default
        asked = {name: known[name] if value is None else value for name, value in options.items()}
        self.decoding = replace(first, **asked)
        if (
            self.decoding.max_length > _MOST_TOKENS
            or max(self.decoding.beam, self.decoding.nbest) > _MOST_BEAMS
        ):
            raise _Refused(
                422, f"decoding: at most {_MOST_TOKENS} tokens and {_MOST_BEAMS} beams and replies"
            )
        self.raw = values.get("raw", "")
        if not isinstance(self.raw, str) or len(self.raw) > _MOST_TOKENS * 50:
            raise _Refused(422, "raw: expected a reply of the model")


def _description(model: ChatModel) -> dict[str, Any]:
    rare = model.rare
    return {
        "name": model.name,
        "kind": model.run.kind,
        "weights": model.run.weights[0].name,
        "logit_adjustment": model.logit_adjustment,
        "rare": None if isinstance(rare, str) else rare.rule,
        "note": rare if isinstance(rare, str) else None,
    }


def _replies(asked: _Asked) -> dict[str, Any]:
    start = time.monotonic()
    found = asked.model.replies(asked.conversation, asked.decoding)
    return {
        "replies": [
            {"pieces": asked.model.pieces(reply), "text": reply.text, "raw": reply.raw, "score": reply.score}
            for reply in found
        ],
        "seconds": round(time.monotonic() - start, 2),
    }


def _likelihoods(asked: _Asked) -> dict[str, Any]:
    reply = Reply(asked.raw, asked.raw, None)
    return {"tokens": asked.model.talker.likelihoods(asked.conversation, reply)}


def _asked(body: bytes, models: Sequence[ChatModel], first: Decoding) -> _Asked:
    try:
        values = parse_json(body.decode())
    except ValueError:
        raise _Refused(400, "expected JSON") from None
    if not isinstance(values, dict):
        raise _Refused(400, "expected a JSON object")
    return _Asked(values, models, first)


def _texts(values: Mapping[str, Any], name: str, most: int) -> list[str]:
    texts = values.get(name, [])
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise _Refused(422, f"{name}: expected texts")
    if len(texts) > most or any(len(text) > _MOST_SIGNS for text in texts):
        raise _Refused(422, f"{name}: at most {most} texts of {_MOST_SIGNS:,} characters")
    return texts


def _check_origin(headers: Mapping[str, str]) -> None:
    """Refuse requests of other pages that are open in the same browser.

    A browser says where a request comes from, and asks before it sends JSON to another origin.
    """
    origin = headers.get("origin")
    if origin is not None and origin != f"http://{headers.get('host')}":
        raise _Refused(403, f"origin {origin}: expected this server's own page")
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise _Refused(403, "expected a request of this server's own page")
    if headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise _Refused(415, "expected application/json")


async def _body(request: Any) -> bytes:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > _MOST_BYTES:
            raise _Refused(413, f"expected at most {_MOST_BYTES:,} bytes")
    return bytes(body)


def _with_headers(app: Any) -> Any:
    """Add the security headers to every response, including errors."""
    added = [(name.lower().encode(), value.encode()) for name, value in _HEADERS.items()]

    async def wrapped(scope: Any, receive: Any, send: Any) -> None:
        async def send_on(message: Any) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        await app(scope, receive, send_on)

    return wrapped
