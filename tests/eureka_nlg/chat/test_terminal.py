"""The conversation in a pipe, and in a pseudo-terminal."""

from __future__ import annotations

import codecs
import io
import os
import pty
import re
import select
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from eureka_nlg.chat.models import ChatModel
from eureka_nlg.chat.session import Session
from eureka_nlg.chat.terminal import Terminal
from eureka_nlg.errors import UserError


def piped(models: list[ChatModel], text: str) -> list[str]:
    out = io.StringIO()
    assert Terminal(Session(models), io.StringIO(text), out).run() == 0
    return out.getvalue().splitlines()


def test_in_a_pipe_a_reply_is_a_line(models: list[ChatModel]) -> None:
    lines = piped(models, "hi\n\nwhy?\n/set nbest 2\nand?\n/quit\nnever read\n")
    assert lines[:4] == [
        f"{name}\t{name}: {turns} turns, a Quokka! <b>zebra</b> 0"
        for turns in (1, 3)
        for name in ("ce", "el")
    ]
    assert [line[-1] for line in lines[-4:]] == ["0", "0", "1", "1"]
    assert not any("never" in line for line in lines)


def test_commands(models: list[ChatModel], tmp_path: Path) -> None:
    path = tmp_path / "said.txt"
    lines = piped(
        models,
        "/persona i row\n/persona i sing\nhi\n/why\n/keep el\n/again\n/history\n"
        f"/save {path}\n/undo\n/reset\n/persona -\n/he\n",
    )
    assert lines[:3] == ["i row", "i row", "i sing"]
    assert "ce  quokka 0.05 (2 in training) · </s> 0.80" in lines
    assert "  perplexity of the reply 5.00" in lines
    assert path.read_text().splitlines()[:3] == ["persona\ti row", "persona\ti sing", "you\thi"]
    assert "removed: hi" in lines
    assert "no persona" in lines
    assert any(line.startswith("  /keep") for line in lines)
    for text, said in (
        ("/nonsense", "no command /nonsense"),
        ("/s", "no command /s;"),  # set or save
        ("/why", "nothing to explain: nothing was said yet"),
        ("fail", "this cannot be said"),
        ("/save", "/save .: is a folder"),
    ):
        with pytest.raises(UserError, match=said):
            piped(models, text)


def test_that_replies_are_adjusted_is_said(make_models: Callable[..., list[ChatModel]]) -> None:
    lines = piped(make_models(logit_adjustment=0.2), "/set\nhi\n/why\n")
    assert next(line.split()[:2] for line in lines if "adjustment" in line) == ["logit_adjustment", "0.2"]
    assert "  perplexity of the reply 5.00, before the logit adjustment" in lines
    plain = piped(make_models(), "/set\nhi\n/why\n")
    assert ["logit_adjustment", "off"] in [line.split()[:2] for line in plain]
    assert "  perplexity of the reply 5.00" in plain
    with pytest.raises(UserError, match="logit_adjustment: is set when a chat begins"):
        piped(make_models(), "/set logit_adjustment 0.2\n")


class Screen:
    """The other end of a pseudo-terminal."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.text = ""
        self.decode = codecs.getincrementaldecoder("utf-8")().decode  # a read may end within a character

    def expect(self, pattern: str) -> None:
        """Read until the pattern comes, and forget what was before its end."""
        deadline = time.monotonic() + 30
        while not (found := re.search(pattern, self.text)):
            assert time.monotonic() < deadline, self.text
            if select.select([self.descriptor], [], [], 1)[0]:
                try:
                    self.text += self.decode(os.read(self.descriptor, 4096))
                except OSError:  # the other end is closed
                    raise AssertionError(self.text) from None
        self.text = self.text[found.end() :]

    def type(self, text: str) -> None:
        os.write(self.descriptor, text.encode())


def test_in_a_terminal(models: list[ChatModel]) -> None:
    child, descriptor = pty.fork()
    if child == 0:
        status = 1
        try:
            # a test run in the background of a shell has it ignored
            signal.signal(signal.SIGINT, signal.default_int_handler)
            os.environ.pop("NO_COLOR", None)
            os.environ |= {"TERM": "xterm", "COLUMNS": "100"}
            # pytest has taken these
            sys.stdin = sys.__stdin__ = open(0, closefd=False)  # noqa: SIM115
            sys.stdout = sys.__stdout__ = open(1, "w", closefd=False)  # noqa: SIM115
            status = Terminal(Session(models), sys.stdin, sys.stdout).run()
        finally:
            os._exit(status)
    screen = Screen(descriptor)
    screen.expect(r"ce.*el.*write a message, or /help\r\n")
    screen.expect("you> ")
    screen.type("hello\r")
    screen.expect("ce is writing")
    screen.expect("el is writing")
    screen.expect(r"ce\S* +\S* │ \S*el")  # side by side
    screen.expect(r"\x1b\[1;4mQuokka\x1b\[0m")
    screen.expect("you> ")
    screen.type("/pers\ti row\r")  # Tab completes
    screen.expect("i row\r\n")
    screen.expect("you> ")
    screen.type("half")
    screen.expect("half")
    # Until Python's readline waits for keys, a Ctrl-C is not noticed before the next key.
    time.sleep(0.2)
    screen.type("\x03")  # forgets the line
    screen.expect("you> ")
    screen.type("crash\r")
    screen.expect("interrupted; the message was removed")
    screen.expect("you> ")
    screen.type("fail\r")
    screen.expect("this cannot be said")
    screen.expect("you> ")
    screen.type("/history\r")
    screen.expect("you  hello")
    screen.expect("you> ")
    screen.type("\x1b[A\r")  # the line before
    screen.expect("/history")
    screen.expect("you> ")
    screen.type("\x04")
    _, status = os.waitpid(child, 0)
    os.close(descriptor)
    assert status == 0
