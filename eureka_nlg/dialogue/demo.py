"""Cross-entropy and Eureka on the bundled corpus, side by side: the work behind ``eureka demo``.

The models are trained as a user would do it, by ``eureka train`` with the configs of
``configs/dialogue/sample``. Finished steps are not repeated.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eureka_nlg.children import child_environment
from eureka_nlg.dialogue.training import read_config
from eureka_nlg.errors import UserError
from eureka_nlg.files import remove_made, write_json, write_lines
from eureka_nlg.limits import parse_json
from eureka_nlg.metrics.classes.bands import FrequencyBands
from eureka_nlg.metrics.classes.likelihood import ALL

__all__ = ["CORPUS", "SYSTEMS", "Demo", "Progress"]

CORPUS = "data/sample"
MARK = "demo.json"
"""File in the run folders of a demo. It identifies the options and data of the run, and holds its scores once
it is decoded. A folder without this file was not made by a demo and is left alone."""
SYSTEMS = {"CE": "ce", "Eureka": "el"}  # name in the tables -> config, and folder of the run

Progress = Callable[[dict[str, float], float], None]  # epochs done by each system, and their total number


@dataclass(frozen=True)
class Demo:
    """A demo in a folder of its own.

    Attributes:
        folder: for the data, the runs and the scores.
        epochs: number of epochs of each training; None for that of the configs. The bonus begins after the
            same share of them.
        seed: of both trainings; None for that of the configs.
        options: more options of both trainings, `key=value`.
    """

    folder: Path
    epochs: int | None = None
    seed: int | None = None
    options: tuple[str, ...] = ()

    @property
    def data(self) -> Path:
        """The data folder that `eureka prepare` makes of the corpus."""
        return self.folder / "data"

    def run_folder(self, name: str) -> Path:
        """Folder of the training of a system."""
        return self.folder / SYSTEMS[name]

    def config(self, name: str) -> str:
        """Config of a system, under a path that can be typed in any folder."""
        return f"configs/dialogue/sample/{SYSTEMS[name]}.yaml"

    def overrides(self, name: str) -> list[str]:
        """The options that follow the config on the command line."""
        overrides = [f"data={self.data}", f"save_dir={self.run_folder(name)}"]
        if self.seed is not None:
            overrides.append(f"seed={self.seed}")
        if self.epochs is not None:
            config = read_config(self.config(name))
            overrides.append(f"max_epoch={self.epochs}")
            if "encouragement_start_epoch" in config:
                share = config["encouragement_start_epoch"] / config["max_epoch"]
                overrides.append(f"encouragement_start_epoch={math.ceil(share * self.epochs)}")
        return [*overrides, *self.options]

    def unfinished(self) -> list[str]:
        """The systems that are not trained and decoded yet with these options on these data."""
        notes = {name: self._note(name) for name in SYSTEMS}
        return [
            name
            for name, note in notes.items()
            if note.get("fingerprint") != self._fingerprint(name) or "likelihoods" not in note
        ]

    def train(self, names: list[str], progress: Progress) -> None:
        """Train systems at the same time, each on its share of the cores; their output goes to RUN/train.log.

        A training with the same options and data that was interrupted goes on.

        Raises:
            UserError: a training failed; the message has the end of its output.
        """
        num_threads = max(1, (os.cpu_count() or 1) // len(names))
        environment = child_environment({"OMP_NUM_THREADS": str(num_threads)})
        processes: dict[str, subprocess.Popen[bytes]] = {}
        with contextlib.ExitStack() as stack:
            for name in names:
                folder = self.run_folder(name)
                fingerprint = self._fingerprint(name)
                if self._note(name).get("fingerprint") != fingerprint:
                    remove_made(folder, MARK)
                    folder.mkdir(parents=True, exist_ok=True)
                    write_json(folder / MARK, {"fingerprint": fingerprint})
                output = stack.enter_context((folder / "train.log").open("ab"))
                command = [
                    "train",
                    self.config(name),
                    *self.overrides(name),
                    "log_format=json",
                    "log_interval=10",
                ]
                process = subprocess.Popen(
                    [sys.executable, "-m", "eureka_nlg.cli.main", *command],
                    env=environment,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                )
                stack.callback(process.wait)
                stack.callback(process.terminate)
                processes[name] = process
            while any(process.poll() is None for process in processes.values()):
                progress({name: _epochs_done(self.run_folder(name)) for name in names}, self._num_epochs())
                time.sleep(0.5)
                self._check(processes)
        self._check(processes)

    def decode(self, name: str) -> None:
        """Write the replies to the test contexts, and then a note that the system is finished."""
        # torch, which finished systems are shown without
        from eureka_nlg.dialogue.analysis import DialogueAnalysis
        from eureka_nlg.dialogue.generation import Run, generate
        from eureka_nlg.dialogue.likelihoods import ReferenceModel

        run = Run.load(self.run_folder(name))
        write_lines(self.replies(name), generate(run, "test", ["--beam", "1"]).hypotheses)
        analysis = DialogueAnalysis(FrequencyBands.by_token_mass, ["test"])
        analysis.add(name, ReferenceModel(run), [run.checkpoint])
        groups = analysis.groups[name]["test"]
        likelihoods = {
            group: 100 * groups[group].mean_likelihood
            for group in analysis.bands.names
            if groups[group].count
        }
        note = {
            "fingerprint": self._fingerprint(name),
            "ppl": groups[ALL].perplexity,
            "likelihoods": likelihoods,
        }
        write_json(self.run_folder(name) / MARK, note)

    def replies(self, name: str) -> Path:
        """File of the replies of a system."""
        return self.run_folder(name) / "replies.test.txt"

    def perplexity(self, name: str) -> float:
        """Perplexity of the test references under a finished system."""
        return float(self._note(name)["ppl"])

    def likelihoods(self, name: str) -> dict[str, float]:
        """Mean likelihood (%) of the right word under a finished system, by band of training frequency."""
        return dict(self._note(name)["likelihoods"])

    def _num_epochs(self) -> int:
        return self.epochs or int(read_config(self.config("CE"))["max_epoch"])

    def _check(self, processes: dict[str, subprocess.Popen[bytes]]) -> None:
        for name, process in processes.items():
            if process.poll() not in (None, 0):
                log = self.run_folder(name) / "train.log"
                end = log.read_text(encoding="utf-8", errors="replace").splitlines()[-3:]
                status = process.returncode
                raise UserError(
                    f"training of {name} ended with status {status}; {log} ends with: {' | '.join(end)}"
                )

    def _fingerprint(self, name: str) -> str:
        """A hash of everything that a run depends on: its options and its data."""
        config = read_config(self.config(name), self.overrides(name))
        manifest = (self.data / "manifest.json").read_bytes()
        return hashlib.sha256(json.dumps(config, sort_keys=True).encode() + manifest).hexdigest()

    def _note(self, name: str) -> dict[str, Any]:
        try:
            note = parse_json((self.run_folder(name) / MARK).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return note if isinstance(note, dict) else {}


def _epochs_done(run: Path) -> float:
    """How many epochs are done, from the last entry of fairseq's JSON log that says so."""
    try:
        lines = (run / "fairseq.log").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return 0.0
    for line in reversed(lines):
        _, brace, entry = line.partition("{")
        if '"update": ' in entry:
            with contextlib.suppress(ValueError, KeyError):
                return float(parse_json(brace + entry)["update"])
    return 0.0
