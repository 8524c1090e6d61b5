"""All the way through, as a user types it, on a piece of the bundled corpus."""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

pytest.importorskip("fairseq")

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.slow

Command = Callable[..., "CompletedProcess[str]"]


@pytest.fixture(scope="module")
def eureka(python: Command) -> Command:
    """Run `eureka` in the clone; it must succeed unless told otherwise."""

    def run(*arguments: object, status: int = 0) -> CompletedProcess[str]:
        done = python("-m", "eureka_nlg.cli.main", *arguments)
        assert done.returncode == status, done.stderr[-2000:]
        return done

    return run


@pytest.fixture(scope="module")
def data(eureka: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fairseq data folder made of the first dialogues of the bundled corpus."""
    corpus = tmp_path_factory.mktemp("corpus")
    for split, num_lines in (("train", 600), ("valid", 120), ("test", 120)):
        with open(ROOT / f"data/sample/{split}.txt", encoding="utf-8") as lines:
            (corpus / f"{split}.txt").write_text("".join(itertools.islice(lines, num_lines)))
    folder = tmp_path_factory.mktemp("out") / "data"
    eureka("prepare", corpus, "--out", folder, "--history-turns", 1, "--min-count", 2)
    return folder


SMALL = ["encoder_embed_dim=16", "encoder_hidden_size=16", "log_format=json", "log_interval=5"]


@pytest.fixture(scope="module")
def run(eureka: Command, data: Path) -> Path:
    """A small Eureka run of two epochs, the second with the bonus."""
    folder = data.parent / "run"
    done = eureka(
        *("train", "--verbose"),
        "configs/dialogue/sample/el.yaml",
        *(f"data={data}", f"save_dir={folder}", "max_epoch=2", "encouragement_start_epoch=2", *SMALL),
    )
    command, _, log = done.stdout.partition("\n")
    assert command.startswith(f"fairseq-train {data} --user-dir fairseq_plugins --arch lstm_convai2")
    (folder / "log.json").write_text("[" + ",".join(entries(log, "train_") + entries(log, "valid_")) + "]")
    return folder


def entries(log: str, prefix: str) -> list[str]:
    """The per-epoch entries of fairseq's JSON log."""
    found = [line[line.index("{") :] for line in log.splitlines() if f'"{prefix}loss"' in line]
    assert len(found) == 2
    return found


def test_the_bonus_comes_with_its_epoch(run: Path) -> None:
    log = json.loads((run / "log.json").read_text())
    rewards = {entry["epoch"]: float(entry["train_reward"]) for entry in log if "train_reward" in entry}
    assert rewards[1] == 0.0
    assert rewards[2] < 0.0


def test_perplexity_is_that_of_fairseqs_validation(eureka: Command, run: Path, tmp_path: Path) -> None:
    log = json.loads((run / "log.json").read_text())
    best = min(float(entry["valid_ppl"]) for entry in log if "valid_ppl" in entry)
    out = tmp_path / "replies.txt"
    done = eureka("generate", run, "--split", "valid", "--beam", 1, "--perplexity", "--out", out)
    (found,) = re.findall(r"^perplexity of the references: (.*)$", done.stdout, re.MULTILINE)
    assert float(found) == pytest.approx(best, rel=1e-3)


def test_replies_are_scored(eureka: Command, run: Path, data: Path, tmp_path: Path) -> None:
    done = eureka("generate", run, "--beam", 2, "--no-repeat-ngram-size", 3, "--max-len-b", 20)
    replies, references = run / "replies.test.txt", data / "references" / "test.txt"
    num_replies = len(replies.read_text().splitlines())
    assert num_replies == len(references.read_text().splitlines()) > 0
    scores = tmp_path / "scores.json"
    following = f"evaluate --hypotheses {replies} --references {references}"
    assert done.stdout.endswith(f"\nnext: eureka {following}\n")
    done = eureka(*following.split(), "--json", scores)
    assert "macro F" in done.stdout
    assert f"\nwrote {scores}\nnext: " in done.stdout
    assert done.stdout.endswith(f"; eureka report {run} --out report.html\n")
    found = json.loads(scores.read_text())
    assert found["num_pairs"] == num_replies
    without_upper_limit = {"ead_4", "entropy_4", "mean_length"}
    for name, value in found["scores"].items():
        assert 0.0 <= value <= (math.inf if name in without_upper_limit else 100.0), name


def test_sampling_gives_one_reply_a_line_and_follows_the_seed(
    eureka: Command, run: Path, tmp_path: Path
) -> None:
    texts = []
    for number, seed in enumerate((1, 1, 2)):
        out = tmp_path / f"{number}.txt"
        options = ("--sampling", "--sampling-topp", 0.9, "--seed", seed, "--max-len-b", 10, "--out", out)
        eureka("generate", run, *options, "--", "--skip-invalid-size-inputs-valid-test")
        texts.append(out.read_text())
    assert texts[0] == texts[1] != texts[2]
    assert len({text.count("\n") for text in texts}) == 1


# The small model says nothing but full stops, whose likelihood is not adjusted: each may be said once.
GREEDY = ("--beam", 1, "--min-len", 8, "--max-len-b", 10, "--no-repeat-ngram-size", 1)


def test_adjusted_afterwards(eureka: Command, run: Path, tmp_path: Path) -> None:
    """Other replies; what is written says so, and not when it is overwritten without."""
    eureka("generate", run, *GREEDY, "--out", tmp_path / "as_is.txt")
    done = eureka("generate", run, *GREEDY, "--logit-adjustment", 1)
    out = run / "replies.test.logit-adjustment-1.txt"
    assert f"replies of {run} in {out}" in done.stdout
    assert "logit adjustment 1, recorded in" in done.stdout
    assert json.loads(out.with_suffix(".decoding.json").read_text())["logit_adjustment"] == 1
    texts = [path.read_text() for path in (tmp_path / "as_is.txt", out)]
    assert texts[0].count("\n") == texts[1].count("\n")
    assert texts[0] != texts[1]
    eureka("generate", run, *GREEDY, "--out", out)
    assert out.read_text() == texts[0]
    assert not out.with_suffix(".decoding.json").exists()
    for options in (("--logit-adjustment", 1, "--perplexity"), ("--adjust-again",)):
        eureka("generate", run, *options, status=2)


def test_adjusted_models_talk_and_are_reported(
    eureka: Command, run: Path, tmp_path: Path, python: Command
) -> None:
    """In a chat are the replies that `generate` writes, and the page says how its replies were decoded."""
    said, adjusted = tmp_path / "said.txt", ("--logit-adjustment", 1.5)
    said.write_text("hi , any hobbies ?\n")
    wanted = {
        adjustment: eureka("generate", run, *adjustment, *GREEDY, "--input", said).stdout.splitlines()[0]
        for adjustment in ((), adjusted)
    }
    assert len(set(wanted.values())) == 2
    program = (
        "import io, sys; from eureka_nlg.cli.main import main; "
        "sys.stdin = io.StringIO(open(sys.argv[1]).read()); sys.exit(main(sys.argv[2:]))"
    )
    done = python("-c", program, said, "chat", run, *adjusted, *GREEDY)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].split("\t")[1] == wanted[adjusted]
    done = eureka("generate", run, *adjusted, *GREEDY, "--input", said, "--out", tmp_path / "out.txt")
    assert done.stdout.endswith(f"\nnext: eureka chat {run} --logit-adjustment 1.5\n")
    page = tmp_path / "page.html"
    eureka("report", run, *adjusted, "--no-analysis", "--out", page)
    told = "greedy decoding, logit adjustment 1.5 (perplexity and likelihoods are those without it)"
    assert told in page.read_text()
    assert list((run / "report").glob("replies.beam1.logit-adjustment-1.5.*"))


def test_an_interrupted_run_goes_on(eureka: Command, run: Path, data: Path) -> None:
    done = eureka(
        *("train", "--verbose"),
        "configs/dialogue/sample/el.yaml",
        *(f"data={data}", f"save_dir={run}", "max_epoch=3", "encouragement_start_epoch=2", *SMALL),
    )
    trained = [line for line in done.stdout.splitlines() if '"train_loss"' in line]
    assert len(trained) == 1  # the third epoch alone
    assert math.isfinite(float(json.loads(trained[0][trained[0].index("{") :])["train_loss"]))


def test_what_is_not_there_is_said_in_a_line(eureka: Command, run: Path, tmp_path: Path) -> None:
    out = tmp_path / "replies.txt"
    done = eureka("generate", run, "--split", "tset", "--out", out, status=2)
    assert done.stderr.count("\n") == 1
    assert "split tset: not in the data folder" in done.stderr
    done = eureka("train", "configs/dialogue/sample/el.yaml", f"data={tmp_path}", "beat=0.9", status=2)
    assert done.stderr.strip().count("\n") == 0
    assert "no option --beat; did you mean --beta?" in done.stderr
    assert not out.exists()
