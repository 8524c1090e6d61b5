"""The conversation in a terminal, or line by line in a pipe."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from typing import TextIO

from eureka_nlg.chat.layout import Style, columns, printable
from eureka_nlg.chat.models import ChatModel
from eureka_nlg.chat.session import Session
from eureka_nlg.errors import UserError
from eureka_nlg.files import output_file, write_lines
from eureka_nlg.runs.base import Reply
from eureka_nlg.runs.decoding import Decoding

__all__ = ["Terminal"]

_PROMPT = "you> "
_UNLIKELY = 0.1


class Terminal:
    """Reads messages and commands, prints replies.

    Where input or output is not a terminal there is no prompt, a reply is a line ``NAME<TAB>REPLY``, and the
    first error ends the conversation.

    Args:
        session: the conversation.
        source: input.
        out: output.
    """

    def __init__(self, session: Session, source: TextIO = sys.stdin, out: TextIO = sys.stdout) -> None:
        self.session = session
        self._source, self._out = source, out
        self._is_terminal = source.isatty() and out.isatty()
        self._style = Style(self._is_terminal and "NO_COLOR" not in os.environ)
        self._commands: dict[str, tuple[Callable[[str], object], str]] = {
            "help": (self._help, "show these lines"),
            "persona": (
                self._persona,
                "show the persona; /persona TEXT adds a sentence, /persona - removes all",
            ),
            "set": (self._set, "show the options of decoding; /set temperature 0.8 changes one"),
            "why": (self._why, "show the likelihood of each word of the last replies"),
            "keep": (self._keep, "/keep NAME: continue with the last reply of this model in all of them"),
            "again": (self._again, "answer the last message again"),
            "undo": (self._undo, "remove the last message and its replies"),
            "history": (self._history, "show the conversation so far"),
            "reset": (self._reset, "forget the conversation; the persona stays"),
            "save": (self._save, "/save FILE: write the conversation to a file"),
            "quit": (lambda _: None, "end, as Ctrl-D does"),
        }

    def run(self) -> int:
        """Talk until the input ends or /quit; return the exit status."""
        if self._is_terminal:
            self._completion()
            names = ", ".join(
                self._style.name(model.name, number) for number, model in enumerate(self.session.models)
            )
            self._print(f"{names}: write a message, or /help")
            if adjusted := _adjusted(self.session.models):
                self._print(self._style.faint(f"decoded with logit adjustment {adjusted}"))
        for line in self._lines():
            if line == "/quit":
                break
            try:
                self._take(line)
            except UserError as error:
                if not self._is_terminal:
                    raise
                self._print(self._style.faint(str(error)))
            except KeyboardInterrupt:
                if not self._is_terminal:
                    raise
                self._print(self._style.faint("interrupted; the message was removed"))
        return 0

    def _lines(self) -> Iterator[str]:
        while True:
            try:
                line = self._read()
            except KeyboardInterrupt:  # forgets what is typed, as a shell does
                self._print("")
                continue
            if line is None:
                if self._is_terminal:
                    self._print("")
                return
            if line := printable(line).strip():
                yield line

    def _read(self) -> str | None:
        if not self._is_terminal:
            return self._source.readline() or None
        try:
            return input(_PROMPT)
        except EOFError:
            return None

    def _take(self, line: str) -> None:
        if not line.startswith("/"):
            self._say(line)
            return
        name, _, rest = line[1:].partition(" ")
        fitting = [command for command in self._commands if command.startswith(name)]
        if name not in self._commands and len(fitting) != 1:
            raise UserError(f"no command /{name}; /help lists them")
        command, _ = self._commands[name if name in self._commands else fitting[0]]
        command(rest.strip())

    def _say(self, message: str) -> None:
        found: dict[str, list[Reply]] = {}
        for model, replies in self.session.say(message):
            if replies is None:
                self._sign(f"{model.name} is writing ...")
            else:
                self._sign("")
                found[model.name] = replies
        names = list(found)
        models = {model.name: model for model in self.session.models}
        for place in range(max(map(len, found.values()))):
            pieces = [models[name].pieces(found[name][place]) for name in names]
            self._replies(names, [each or [("(nothing)", None)] for each in pieces])

    def _replies(self, names: list[str], pieces: list[list[tuple[str, int | None]]]) -> None:
        if self._is_terminal:
            width = shutil.get_terminal_size().columns
            self._print(*columns(names, pieces, width, self._style))
            return
        for name, parts in zip(names, pieces):
            self._print(f"{name}\t{printable(''.join(text for text, _ in parts)).strip()}")

    def _help(self, _: str) -> None:
        width = max(map(len, self._commands)) + 3
        self._print(*(f"  {'/' + name:<{width}}{text}" for name, (_, text) in self._commands.items()))
        self._print(
            "rare words are underlined; those that occur fewer than 20 times in training are also bold"
        )

    def _persona(self, text: str) -> None:
        if text == "-":
            self.session.persona.clear()
        elif text:
            self.session.persona.append(text)
        self._print(*self.session.persona or ["no persona"])

    def _set(self, text: str) -> None:
        name, _, value = text.replace("=", " ").partition(" ")
        if name:
            self.session.set(name, value.strip())
        for option in fields(Decoding):
            if option.name == name or not name:
                shown = getattr(self.session.decoding, option.name)
                shown = "off" if shown is None or shown is False else "on" if shown is True else shown
                self._print(f"  {option.name:<22}{shown!s:<8}{self._style.faint(option.metadata['help'])}")
        if not name:
            adjusted = _adjusted(self.session.models) or "off"
            told = "makes rare words likelier; set by --logit-adjustment when a chat begins"
            self._print(f"  {'logit_adjustment':<22}{adjusted:<8}{self._style.faint(told)}")

    def _why(self, _: str) -> None:
        models = {model.name: model for model in self.session.models}
        for number, (name, tokens) in enumerate(self.session.likelihoods().items()):
            rare = models[name].rare
            counts = {} if isinstance(rare, str) else rare.counts
            parts = []
            for token, value in tokens:
                likelihood = math.exp(value)
                mark = f"{printable(token).strip() or repr(token)} {likelihood:.2f}"
                if token.strip() in counts:
                    mark += f" ({counts[token.strip()]} in training)"
                parts.append(self._style(mark, 1) if likelihood < _UNLIKELY else mark)
            mean = sum(value for _, value in tokens) / max(len(tokens), 1)
            self._print(f"{self._style.name(name, number)}  {' · '.join(parts)}")
            before = "" if models[name].logit_adjustment is None else ", before the logit adjustment"
            self._print(self._style.faint(f"  perplexity of the reply {math.exp(-mean):.2f}{before}"))

    def _keep(self, name: str) -> None:
        self.session.keep(name)
        self._print(self._style.faint(f"all models continue with the reply of {name}"))

    def _again(self, _: str) -> None:
        self._say(self.session.undo())

    def _undo(self, _: str) -> None:
        self._print(self._style.faint(f"removed: {self.session.undo()}"))

    def _reset(self, _: str) -> None:
        self.session.exchanges.clear()
        self._print(self._style.faint("forgotten"))

    def _transcript(self) -> Iterator[str]:
        for sentence in self.session.persona:
            yield f"persona\t{sentence}"
        for exchange in self.session.exchanges:
            yield f"you\t{exchange.message}"
            for name in exchange.replies:
                yield f"{name}\t{printable(exchange.reply_of(name).text)}"

    def _history(self, _: str) -> None:
        self._print(*(line.replace("\t", "  ") for line in self._transcript()))

    def _save(self, path: str) -> None:
        write_lines(output_file(os.path.expanduser(path) or ".", "/save"), self._transcript())
        self._print(self._style.faint(f"wrote {path}"))

    def _sign(self, text: str) -> None:
        """Show a line that the next one overwrites."""
        if self._is_terminal:
            self._out.write(f"\r\x1b[K{self._style.faint(text)}")
            self._out.flush()

    def _print(self, *lines: str) -> None:
        for line in lines:
            self._out.write(f"{line}\n")
        self._out.flush()

    def _completion(self) -> None:
        """Editing, history within the conversation, and Tab for commands, where Python has readline."""
        with contextlib.suppress(ImportError):
            import readline

            names = [f"/{name} " for name in self._commands]
            names += [f"/set {option.name} " for option in fields(Decoding)]
            names += [f"/keep {model.name}" for model in self.session.models]

            def complete(text: str, state: int) -> str | None:
                fitting = [name for name in names if name.startswith(text)] if text.startswith("/") else []
                return fitting[state] if state < len(fitting) else None

            readline.set_completer_delims("")
            readline.set_completer(complete)
            readline.parse_and_bind("tab: complete")


def _adjusted(models: Sequence[ChatModel]) -> str:
    """The factor that all models are adjusted with, as text; empty without one."""
    factor = models[0].logit_adjustment
    return "" if factor is None else f"{factor:g}"
