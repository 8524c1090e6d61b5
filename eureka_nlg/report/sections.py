"""Which figures a report has, from the data that it holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from eureka_nlg.report import figures, loss_figures
from eureka_nlg.report.image_figures import accuracy_by_class
from eureka_nlg.report.model import ImageReport, Report
from eureka_nlg.report.tables import groups_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Drawing", "analysis_drawings", "drawings"]

# measures of the log -> label with unit; others are drawn under their own names
_MEASURES = {
    "loss": "loss (bits per token)",
    "ppl": "perplexity",
    "accuracy": "accuracy (%)",
    "macro_f": "macro F (%)",
    "micro_f": "micro F (%)",
    "diversity_4": "4-gram diversity (%)",
    "likelihood": "mean likelihood",
    "bonus": "mean bonus (nats)",
    "reward": "mean reward (nats)",
    "training_loss": "training loss (nats per image)",
    "accuracy.all": "test accuracy (%)",
    "accuracy.many": "test accuracy, many (%)",
    "accuracy.medium": "test accuracy, medium (%)",
    "accuracy.few": "test accuracy, few (%)",
    "accuracy.natural": "natural accuracy (%)",
    "calibration_error": "calibration error (%)",
}
_REDUNDANT = {"nll_loss"}  # the logarithm of the perplexity


@dataclass(frozen=True)
class Drawing:
    """A figure of the report.

    Attributes:
        section: the section of the page that it is in.
        name: name of its files, without a suffix.
        title: a few words above it.
        caption: how to read it.
        draw: draws the figure; takes ``title`` and ``narrow``.
        half: whether half of the width of a desktop is enough.
    """

    section: str
    name: str
    title: str
    caption: str
    draw: Callable[..., Figure]
    half: bool = False


def drawings(report: Report) -> list[Drawing]:
    """The figures for which there are data, in the order of the page."""
    found = [*_scores(report), *_training(report)]
    if isinstance(report, ImageReport):
        found += _by_class(report)
    if report.analysis is not None:
        found += analysis_drawings(report.analysis, report.split, report.nouns)
    return found


def analysis_drawings(
    analysis: Mapping[str, Any], split: str = "test", nouns: tuple[str, str] = ("word", "references")
) -> list[Drawing]:
    """The figures of a document of :mod:`eureka_nlg.analysis`.

    Args:
        analysis: the document.
        split: the split whose likelihoods are drawn; the first one that was analysed, if it was not.
        nouns: the words for a class and for the examples, ``("class", "images")`` for image models.
    """
    return [*_likelihood(analysis, split, *nouns), *_frequency(analysis, *nouns)]


def _scores(report: Report) -> list[Drawing]:
    if report.scores is None:
        return []
    intervals = {
        metric.label: {
            name: (score.value, score.low, score.high)
            for name, score in metric.scores.items()
            if score.low is not None and score.high is not None
        }
        for metric in report.scores.metrics
    }
    intervals = {label: systems for label, systems in intervals.items() if systems}
    if not intervals:
        return []
    caption = "Points are scores, and lines are their confidence intervals. Each panel has its own axis."
    draw = partial(figures.scores_with_intervals, intervals)
    return [Drawing("scores", "scores", "Scores and their confidence intervals", caption, draw)]


def _by_class(report: ImageReport) -> list[Drawing]:
    if not report.accuracy_of_class:
        return []
    caption = (
        "Each mark is a class, the most frequent ones on the left. Where there are more than forty classes, "
        "a mark is the mean of classes of similar frequency."
    )
    draw = partial(accuracy_by_class, report.class_counts, report.accuracy_of_class)
    return [Drawing("classes", "accuracy_by_class", "Accuracy of each class", caption, draw)]


def _training(report: Report) -> list[Drawing]:
    runs = {  # also those without a log, so that each has its colour
        system.name: {
            measure: {split: sorted(points.items()) for split, points in curves.items() if points}
            for measure, curves in ({} if system.log is None else system.log.curves).items()
        }
        for system in report.systems
    }
    logged = list(dict.fromkeys(measure for curves in runs.values() for measure in curves))
    measures = {measure: _MEASURES[measure] for measure in _MEASURES if measure in logged}
    measures |= {measure: measure for measure in logged if measure not in {*measures, *_REDUNDANT}}
    if not measures:
        return []
    held_out = "test" if isinstance(report, ImageReport) else "validation"
    caption = (
        f"Solid lines with marks are {held_out} data, dotted ones training data, averaged over an epoch."
    )
    begins = {
        name: min(epoch for splits in curves.values() for points in splits.values() for epoch, _ in points)
        for name, curves in runs.items()
        if any(points for splits in curves.values() for points in splits.values())
    }
    if len(set(begins.values())) > 1:
        late = ", ".join(f"{name} from epoch {epoch}" for name, epoch in begins.items() if epoch > 1)
        caption += f" The log begins late for {late}, as it does for a run that began with epochs of another."
    draw = partial(figures.training_curves, runs, measures, held_out=held_out)
    return [Drawing("training", "training_curves", "Training curves", caption, draw)]


def _likelihood(analysis: Mapping[str, Any], split: str, noun: str, examples: str) -> list[Drawing]:
    groups = groups_of(analysis)
    split, systems = _shown_split(analysis, split)
    found = []
    histograms = {name: _of_groups(values, groups, "histogram") for name, values in systems.items()}
    if any(histograms.values()):
        found.append(
            Drawing(
                "likelihood",
                "likelihood_histograms",
                f"Likelihood of the right {noun} by frequency group",
                f"Share of the {split} {examples} by the likelihood of their right {noun}, in twenty steps "
                "from 0 to 1, on a log scale. On the right are those that a model is sure of.",
                partial(figures.likelihood_histograms, histograms, noun=noun),
            )
        )
    measures = {
        "accuracy (%)": "accuracy",
        "likelihood above one half (%)": "share_above_half",
        "mean likelihood": "mean_likelihood",
        "perplexity": "perplexity",
    }
    bars = {
        label: {name: _of_groups(values, groups, key) for name, values in systems.items()}
        for label, key in measures.items()
    }
    bars = {label: values for label, values in bars.items() if any(values.values())}
    if bars:
        draw = partial(figures.likelihood_by_group, bars, log_scaled=("perplexity",))
        caption = f"On the {split} {examples}."
        found.append(
            Drawing(
                "likelihood",
                "likelihood_by_group",
                "How well each frequency group is predicted",
                caption,
                draw,
            )
        )
    gaps = {}
    for name, system in analysis["systems"].items():
        train, test = system["splits"].get("train", {}), system["splits"].get(split, {})
        pairs = {
            group: (train[group]["accuracy"], test[group]["accuracy"])
            for group in groups
            if train.get(group, {}).get("count") and test.get(group, {}).get("count")
        }
        if pairs and split != "train":
            gaps[name] = pairs
    if gaps:
        caption = f"Accuracy of the most probable {noun}. The longer the line, the more was learned by heart."
        title = f"Gap between training and {split} data"
        draw = partial(figures.train_test_gap, gaps)
        found.append(Drawing("likelihood", "train_test_gap", title, caption, draw))
    return found


def _frequency(analysis: Mapping[str, Any], noun: str, examples: str) -> list[Drawing]:
    found = []
    corpus = analysis.get("corpus") or {}
    if corpus.get("counts"):
        caption = (
            f"{corpus['num_types']:,} {_plural(noun)} in {corpus['num_tokens']:,} training examples. The "
            f"imbalance ratio is the count of the most frequent {noun} over that of the rarest."
        )
        draw = partial(
            figures.word_frequency,
            corpus["ranks"],
            corpus["counts"],
            imbalance_ratio=corpus.get("imbalance_ratio"),
            noun=noun,
        )
        title = f"{noun.capitalize()} frequency in the training data"
        found.append(Drawing("frequency", f"{noun}_frequency", title, caption, draw, half=True))
    encouragement = analysis.get("encouragement") or {}
    if encouragement:
        curves = {label: (curve["counts"], curve["weights"]) for label, curve in encouragement.items()}
        caption = f"Weight of the bonus by how often the {noun} occurs in training. The dashed line is one."
        draw = partial(loss_figures.encouragement_by_frequency, curves)
        title = "Encouragement by frequency"
        found.append(Drawing("frequency", "encouragement", title, caption, draw, half=True))
    return found


def _shown_split(analysis: Mapping[str, Any], wanted: str) -> tuple[str, dict[str, Mapping[str, Any]]]:
    """The wanted split, or else the first that was analysed, and the groups of each system on it."""
    splits = {name: system["splits"] for name, system in analysis["systems"].items()}
    known = list(dict.fromkeys(split for values in splits.values() for split in values))
    split = wanted if wanted in known or not known else known[0]
    return split, {name: values[split] for name, values in splits.items() if split in values}


def _of_groups(values: Mapping[str, Any], groups: list[str], key: str) -> dict[str, Any]:
    return {
        group: values[group][key]
        for group in groups
        if values.get(group, {}).get("count") and values[group].get(key) is not None
    }


def _plural(noun: str) -> str:
    return {"word": "word types", "class": "classes"}.get(noun, f"{noun}s")
