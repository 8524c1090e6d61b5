"""`make demo`: train cross-entropy and Eureka on the bundled corpus, show scores and replies side by side.

Finished steps are kept and not done again; `make demo ARGS=--fresh` starts over.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

from tqdm import tqdm

from eureka_nlg.cli.main import main as eureka
from eureka_nlg.dialogue.generation import Run, generate
from eureka_nlg.dialogue.likelihoods import reference_perplexity
from eureka_nlg.dialogue.training import fairseq_arguments, read_config, shown_command
from eureka_nlg.files import write_lines
from eureka_nlg.metrics import score_replies, score_table

ROOT = Path(__file__).resolve().parent.parent
DATA = Path("data-bin/demo")
RUNS = Path("runs/demo")
SYSTEMS = {
    "CE": "ce",
    "Eureka": "el",
}  # name in the table -> config sample/<name>.yaml and folder of the run
NUM_TRIPLES = 4


def main() -> int:
    """Prepare, train, decode, score, show."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fresh", action="store_true", help="throw away what an earlier demo made")
    if parser.parse_args().fresh:
        shutil.rmtree(RUNS, ignore_errors=True)
        shutil.rmtree(DATA, ignore_errors=True)
    os.chdir(ROOT)
    start = time.monotonic()

    if not (DATA / "manifest.json").exists():
        say("prepare data/sample", "dialogues to fairseq's binary format")
        status = eureka(["prepare", "data/sample", "--out", str(DATA), "--history-turns", "1"])
        if status:
            return status
    arguments = {
        name: fairseq_arguments(
            read_config(
                f"configs/dialogue/sample/{config}.yaml", [f"data={DATA}", f"save_dir={RUNS / config}"]
            )
        )
        for name, config in SYSTEMS.items()
    }
    unfinished = {name: given for name, given in arguments.items() if not finished(SYSTEMS[name], given)}
    if unfinished:
        say("train", "both losses at the same time, one core each; about three minutes in all")
        for given in unfinished.values():
            print("  " + shown_command(given))
        train(unfinished)
        say("decode", "the replies to the test contexts, greedily, and the perplexity of the references")
        for name, given in unfinished.items():
            decode(SYSTEMS[name], given)
    show(time.monotonic() - start)
    return 0


def say(step: str, text: str) -> None:
    """Announce a step."""
    print(f"\n== {step}: {text}", flush=True)


def fingerprint(arguments: list[str]) -> str:
    """What a run depends on: its options and its data."""
    return hashlib.sha256(shlex.join(arguments).encode() + (DATA / "manifest.json").read_bytes()).hexdigest()


def finished(run: str, arguments: list[str]) -> bool:
    """Whether the run was trained and decoded, with these very options on this very data."""
    try:
        return json.loads((RUNS / run / "demo.json").read_text())["fingerprint"] == fingerprint(arguments)
    except (OSError, ValueError, KeyError):
        return False


def train(arguments: dict[str, list[str]]) -> None:
    """Run the trainings side by side with a progress bar each; their output goes to RUN/train.log."""
    threads = []
    processes: list[subprocess.Popen[str]] = []
    failed: list[str] = []
    num_threads = max(1, (os.cpu_count() or 1) // len(SYSTEMS))
    environment = {**os.environ, "OMP_NUM_THREADS": str(num_threads), "PYTHONUNBUFFERED": "1"}
    try:
        for position, (name, given) in enumerate(arguments.items()):
            folder = RUNS / SYSTEMS[name]
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "fairseq_cli.train",
                    *given,
                    "--log-format",
                    "json",
                    "--log-interval",
                    "10",
                ],
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            )
            processes.append(process)
            thread = threading.Thread(
                target=follow, args=(name, process, folder / "train.log", given, position, failed)
            )
            thread.start()
            threads.append(thread)
        for thread in threads:
            thread.join()
    finally:
        for process in processes:
            process.terminate()
    if failed:
        raise SystemExit("\n".join(failed))


def follow(
    name: str,
    process: subprocess.Popen[str],
    log: Path,
    arguments: list[str],
    position: int,
    failed: list[str],
) -> None:
    """Copy the output of a training into its log, and its progress onto a bar."""
    num_epochs = float(arguments[arguments.index("--max-epoch") + 1])
    bar = tqdm(
        total=num_epochs,
        desc=f"{name:>8}",
        position=position,
        bar_format="{desc} {bar:30} epoch {n:.1f}/{total:.0f} {elapsed}{postfix}",
        mininterval=0.2 if sys.stderr.isatty() else 10,
    )
    assert process.stdout is not None
    with bar, log.open("w", encoding="utf-8") as file:
        for line in process.stdout:
            file.write(line)
            entry = progress_of(line)
            if "valid_ppl" in entry:
                bar.set_postfix_str(f"valid ppl {entry['valid_ppl']}", refresh=False)
            if "update" in entry or "valid_ppl" in entry:
                bar.update(float(entry.get("update", entry["epoch"])) - bar.n)
    if process.wait() != 0:
        tail = "".join(log.read_text(encoding="utf-8").splitlines(keepends=True)[-5:])
        failed.append(
            f"training of {name} failed with status {process.returncode}; the end of {log}:\n{tail}"
        )


def progress_of(line: str) -> dict[str, str]:
    """The entry of fairseq's JSON log in a line, or nothing."""
    start = line.find("{")
    try:
        entry = json.loads(line[start:]) if start >= 0 else {}
    except ValueError:
        return {}
    return entry if isinstance(entry, dict) else {}


def decode(run: str, arguments: list[str]) -> None:
    """Write the replies to the test contexts, and last the note that the run is finished."""
    model = Run.load(RUNS / run)
    write_lines(RUNS / run / "replies.test.txt", generate(model, "test", ["--beam", "1"]).hypotheses)
    note = {"fingerprint": fingerprint(arguments), "ppl": reference_perplexity(model, "test")}
    (RUNS / run / "demo.json").write_text(json.dumps(note, indent=2) + "\n")


def show(seconds: float) -> None:
    """Print the scores, some replies and where everything is."""
    references = read_lines(DATA / "references/test.txt")
    contexts = read_lines(DATA / "contexts/test.txt")
    replies = {name: read_lines(RUNS / run / "replies.test.txt") for name, run in SYSTEMS.items()}
    scores = {}
    for name, run in SYSTEMS.items():
        ppl = json.loads((RUNS / run / "demo.json").read_text())["ppl"]
        scores[name] = {**score_replies(replies[name], references).scores, "ppl": ppl}
    (RUNS / "scores.json").write_text(json.dumps(scores, indent=2) + "\n")

    say("scores", f"{len(references)} test replies")
    print(score_table(scores, ["macro_f", "micro_f", "diversity_4", "ppl"]))
    say("replies", f"the context with the longest reference in each of {NUM_TRIPLES} parts of the test set")
    part = len(references) // NUM_TRIPLES
    for start in range(0, NUM_TRIPLES * part, part):
        index = max(range(start, start + part), key=lambda number: len(references[number].split()))
        print(wrapped("context", contexts[index]))
        for name in SYSTEMS:
            print(wrapped(name, replies[name][index]))
        print(wrapped("reference", references[index]) + "\n")
    print(f"models, logs, replies  {RUNS}/ce, {RUNS}/el")
    print(f"scores                 {RUNS}/scores.json")
    print(f"data                   {DATA}")
    print(f"{seconds:.0f} seconds. One seed on a made-up corpus: the scores show that it works, no more.")


def wrapped(label: str, text: str) -> str:
    """A labelled paragraph."""
    indent = " " * 11
    return textwrap.fill(text, 100, initial_indent=f"{label:>9}  ", subsequent_indent=indent)


def read_lines(path: Path) -> list[str]:
    """Lines of a text file."""
    return path.read_text(encoding="utf-8").split("\n")[:-1]


if __name__ == "__main__":
    sys.exit(main())
