"""Long-tailed image classification and object detection: train, evaluate, and compare methods over seeds.

    eureka vision train configs/vision/cifar10_lt/ce.yaml data.source=FOLDER training.schedule_scale=0.3
    eureka vision detect configs/vision/coco_shapes/el.yaml
    eureka vision evaluate runs/cifar10_lt/ce
    eureka vision sweep configs/vision/cifar10_lt/ce.yaml configs/vision/cifar10_lt/el.yaml seeds=1,2
    eureka vision compare runs/cifar10_lt/ce runs/cifar10_lt/el
    eureka vision options
    eureka vision options detection

When the same command is given again, an interrupted run goes on. To train on several devices, start it with
`torchrun --nproc-per-node 4 -m eureka_nlg vision train ...` or with `accelerate launch`.
"""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from eureka_nlg.cli.intermixed import IntermixedParser
from eureka_nlg.cli.significance_arguments import add_significance_arguments
from eureka_nlg.cli.vision_scores import groups, show_classification, show_detection
from eureka_nlg.errors import UserError, require
from eureka_nlg.runs.names import named_path, run_names

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the subcommands."""
    commands = parser.add_subparsers(
        dest="vision_command", required=True, metavar="COMMAND", parser_class=IntermixedParser
    )
    overrides = {"nargs": "*", "metavar": "key=value", "help": "options that replace those of the file"}

    train = _command(commands, "train", "train the run of a config, or go on with it", _TRAIN)
    train.add_argument("config", type=Path, metavar="CONFIG", help="YAML file, see configs/vision")
    train.add_argument("overrides", **overrides)  # type: ignore[arg-type]
    train.set_defaults(function=_train)

    detect = _command(commands, "detect", "train the detection run of a config, or go on with it", _DETECT)
    detect.add_argument("config", type=Path, metavar="CONFIG", help="YAML file, see configs/vision/coco")
    detect.add_argument("overrides", **overrides)  # type: ignore[arg-type]
    detect.set_defaults(function=_detect)

    evaluate = _command(
        commands, "evaluate", "score a trained run, of classification or detection", _EVALUATE
    )
    evaluate.add_argument("folder", type=Path, metavar="RUN", help="folder of the run")
    evaluate.add_argument("overrides", **overrides)  # type: ignore[arg-type]
    evaluate.add_argument(
        "--checkpoint", type=Path, metavar="FILE", help="checkpoint to score (default: the run's last one)"
    )
    evaluate.add_argument(
        "--logit-adjustment",
        type=float,
        metavar="TAU",
        help="for classification: subtract TAU times the log-frequency of each class in the training images "
        "from its logit (the post-hoc logit adjustment of Menon et al. 2021)",
    )
    evaluate.add_argument(
        "--adjust-again",
        action="store_true",
        help="with --logit-adjustment: adjust even a run that was trained with logit adjustment",
    )
    evaluate.add_argument(
        "--exact-batch-norm",
        action="store_true",
        help="for classification: take the statistics of batch normalisation from an epoch of training "
        "images, instead of the running ones, which depend on the last batches (Wu & Johnson 2021)",
    )
    evaluate.add_argument("--json", type=Path, metavar="OUT", help="also write all scores to this file")
    evaluate.add_argument(
        "--predictions",
        type=Path,
        metavar="OUT",
        help="for classification: also write the predictions to this file, for eureka vision compare",
    )
    evaluate.set_defaults(function=_evaluate)

    compare = _command(commands, "compare", "test whether classifiers differ by more than chance", _COMPARE)
    compare.add_argument(
        "classifiers",
        nargs="+",
        metavar="[NAME=]RUN",
        help="folder of a finished run, or a file of eureka vision evaluate --predictions; the others are "
        "compared with the first",
    )
    add_significance_arguments(compare)
    compare.add_argument("--json", type=Path, metavar="OUT", help="also write everything to this file")
    compare.set_defaults(function=_compare)

    sweep = _command(
        commands, "sweep", "train configs with several seeds; mean and standard deviation", _SWEEP
    )
    sweep.add_argument(
        "items",
        nargs="+",
        metavar="CONFIG|key=value",
        help="YAML files, and options for all of them; seeds=1,2,3 trains each config with these seeds "
        "(default: 1)",
    )
    sweep.add_argument(
        "--jobs", type=int, default=1, metavar="N", help="trainings at the same time (default: %(default)s)"
    )
    sweep.add_argument("--json", type=Path, metavar="OUT", help="also write the summary to this file")
    sweep.set_defaults(function=_sweep)

    options = _command(commands, "options", "list every option of a config", _OPTIONS)
    options.add_argument("task", nargs="?", choices=["classification", "detection"], default="classification")
    options.set_defaults(function=_options)


_TRAIN = """Train the classifier of a config in its save_dir. When the same command is given again, it goes on
with an interrupted run, or shows the scores of a finished one.

    eureka vision train configs/vision/cifar10_lt/ce.yaml
    eureka vision train configs/vision/cifar10_lt/el.yaml training.schedule_scale=0.15
    eureka vision train configs/vision/imagenet_lt/ce.yaml data.source=IMAGES

`eureka vision options` lists every option."""

_DETECT = """Train the RetinaNet of a config on images with boxes in COCO's format. When the same command is
given again, it goes on with an interrupted run, or shows the scores of a finished one.

    python scripts/draw_coco_shapes.py --out data/shapes
    eureka vision detect configs/vision/coco_shapes/el.yaml
    eureka vision detect configs/vision/coco/fl_hfl.yaml training.schedule_scale=0.1

`eureka vision options detection` lists every option."""

_EVALUATE = """Score a checkpoint of a run on the evaluation images of its config, or on those of an
option key=value.

    eureka vision evaluate runs/cifar10_lt/ce
    eureka vision evaluate runs/cifar10_lt/ce --logit-adjustment 1
    eureka vision evaluate runs/cifar10_lt/ce --checkpoint runs/cifar10_lt/ce/epoch160.pt --json s.json"""

_COMPARE = """Compare classifiers on the same test images: scores with confidence intervals, and tests of
whether each differs from the first one.

    eureka vision compare runs/cifar10_lt/ce runs/cifar10_lt/el
    eureka vision evaluate runs/cifar10_lt/ce --logit-adjustment 1 --predictions adjusted.npz
    eureka vision compare CE=runs/cifar10_lt/ce adjusted=adjusted.npz

The intervals and p-values are about other test images, not about trainings with other seeds."""

_SWEEP = """Train configs with several seeds, and print means and standard deviations. Finished runs are not
trained again. A deferred method begins with the checkpoint of the run whose first epochs it shares.

    eureka vision sweep configs/vision/cifar10_lt/ce.yaml configs/vision/cifar10_lt/el.yaml seeds=1,2
    eureka vision sweep configs/vision/cifar10_lt/*.yaml --jobs 2 --json summary.json save_dir=runs/all"""

_OPTIONS = """List every option of a config with its default, as it is written on a command line.

    eureka vision options
    eureka vision options detection"""


def _command(commands: Any, name: str, line: str, description: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=line, description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    return parser


def run(args: argparse.Namespace) -> int:
    """Run the chosen subcommand."""
    return int(args.function(args))


def _train(args: argparse.Namespace) -> int:
    from eureka_nlg.vision.classification.config import Config
    from eureka_nlg.vision.classification.runs import train_run

    return _trained(
        args,
        Config,
        train_run,
        show_classification,
        lambda folder: f"eureka analyse {shlex.quote(folder)} --figures figures",
    )


def _detect(args: argparse.Namespace) -> int:
    from eureka_nlg.report.detections import draw_detections
    from eureka_nlg.vision.detection.config import DetectionConfig
    from eureka_nlg.vision.detection.runs import FIGURE, train_detection_run

    def following(folder: str) -> str:
        figure = Path(folder) / FIGURE
        look = f"look at {figure}; then " if figure.is_file() else ""
        return f"{look}train another loss to compare it with, one of {_detectors(args.config)}"

    train = partial(train_detection_run, draw=draw_detections)
    return _trained(args, DetectionConfig, train, show_detection, following)


def _detectors(path: Path) -> str:
    """The command that lists the configs of detection: those beside a config, or those of a run's name."""
    family = path.resolve().parent.name
    return f"eureka configs vision/{family if family in _DETECTORS else _DETECTORS[0]}"


_DETECTORS = ("coco", "coco_shapes")


def _trained(
    args: argparse.Namespace,
    config_class: type[Any],
    train: Callable[[Any], dict[str, Any]],
    show: Callable[[dict[str, Any], Path], None],
    following: Callable[[str], str],
) -> int:
    from eureka_nlg.vision.config_file import read_config
    from eureka_nlg.vision.training import Interrupted

    config = read_config(config_class, args.config, args.overrides)
    try:
        result = train(config)
    except Interrupted as interruption:
        print(f"{config.save_dir}: {interruption}", flush=True)
        return 128 + interruption.signal_number
    if _is_first_process():
        show(result, Path(config.save_dir))
        print(f"next: {following(config.save_dir)}")
    return 0


def _evaluate(args: argparse.Namespace) -> int:
    from eureka_nlg.files import write_json
    from eureka_nlg.vision.run_folder import own_output, task_of_run

    own_output(args.json, args.folder)
    own_output(args.predictions, args.folder, "--predictions", "predictions")
    if args.json and args.predictions and args.json.resolve() == args.predictions.resolve():
        raise UserError(f"--json and --predictions: both are {args.json}, expected two files")
    show = show_classification
    following = f"eureka report {shlex.quote(str(args.folder))} --out report.html"
    if task_of_run(args.folder) == "detection":
        from eureka_nlg.vision.detection.runs import evaluate_detection_run

        if args.logit_adjustment is not None or args.adjust_again:
            raise UserError(
                f"{args.folder}: is a run of detection, which scores each class on its own: "
                "--logit-adjustment is for classification"
            )
        for option, given in (
            ("--predictions", args.predictions is not None),
            ("--exact-batch-norm", args.exact_batch_norm),
        ):
            if given:
                raise UserError(f"{args.folder}: is a run of detection: {option} is for classification")
        show = show_detection
        following = f"{_detectors(args.folder)}, for other losses to compare it with"
        result = evaluate_detection_run(args.folder, args.overrides, args.checkpoint)
    else:
        from eureka_nlg.vision.classification.runs import evaluate_run

        result = evaluate_run(
            args.folder,
            args.overrides,
            args.checkpoint,
            logit_adjustment=args.logit_adjustment,
            adjust_again=args.adjust_again,
            predictions_path=args.predictions,
            exact_batch_norm=args.exact_batch_norm,
        )
    if _is_first_process():
        if args.json:
            write_json(args.json, result)
        show(result, args.folder)
        for path in filter(None, (args.json, args.predictions)):
            print(f"wrote {path}")
        print(f"next: {following}")
    return 0


def _compare(args: argparse.Namespace) -> int:
    from eureka_nlg.files import output_file, write_json
    from eureka_nlg.metrics import significance_table
    from eureka_nlg.metrics.significance.comparison import Resamples
    from eureka_nlg.vision.predictions_file import compare_runs

    resamples = Resamples(args.resamples, args.seed, args.confidence)
    if args.json:
        output_file(args.json, "--json", "JSON", holds=("scores", "baseline"))
    paths = _named(args.classifiers)
    comparison = compare_runs(paths, resamples)
    print(significance_table(comparison, "holm" if args.holm else None))
    print(groups())
    if args.json:
        write_json(args.json, comparison.to_dict())
        print(f"wrote {args.json}")
    folders = [path for path in paths.values() if Path(path).is_dir()]
    print(f"next: eureka report {shlex.join(folders) or 'RUN...'} --out report.html")
    return 0


def _named(arguments: list[str]) -> dict[str, str]:
    """``[NAME=]RUN`` -> name and path; the default name is as much of the path's end as tells them apart."""
    given = [named_path(argument) for argument in arguments]
    unnamed = [
        path if Path(path).is_dir() else os.path.splitext(path)[0] for name, path in given if name is None
    ]
    defaults = iter(run_names(unnamed or ["."]))
    names = [next(defaults) if name is None else name for name, _ in given]
    if len(set(names)) < len(names):
        raise UserError(f"names are {', '.join(names)}: expected different ones: give names, NAME=RUN")
    return {name: path for name, (_, path) in zip(names, given)}


def _sweep(args: argparse.Namespace) -> int:
    from eureka_nlg.files import output_file, write_json
    from eureka_nlg.vision.classification.sweep import plan, run_all, summary, summary_table

    configs = [Path(item) for item in args.items if "=" not in item]
    options = [item for item in args.items if "=" in item]
    seeds = [item.removeprefix("seeds=") for item in options if item.startswith("seeds=")] or ["1"]
    if not configs:
        raise UserError("no config given: expected one or more YAML files")
    if args.jobs < 1:
        raise UserError(f"--jobs {args.jobs}: expected 1 or more")
    try:
        numbers = [int(seed) for seed in seeds[-1].split(",")]
    except ValueError:
        raise UserError(f"seeds={seeds[-1]}: expected whole numbers, as in seeds=1,2,3") from None
    if args.json:
        output_file(args.json, "--json", "JSON", holds=("seeds",))
    runs = plan(configs, numbers, [item for item in options if not item.startswith("seeds=")])
    failed = run_all(runs, args.jobs)
    summed = summary(runs)
    if args.json:
        write_json(args.json, summed)
    print(f"accuracy in percent, mean ± standard deviation over seeds\n{summary_table(summed)}\n{groups()}")
    if args.json:
        print(f"wrote {args.json}")
    if failed:
        raise UserError(f"{len(failed)} runs failed: {', '.join(str(run.folder) for run in failed)}")
    folders = shlex.join(str(run.folder) for run in runs)
    names = shlex.join(f"{run.name}-{run.config.seed}" for run in runs)
    print(f"next: eureka report {folders} --names {names} --out report.html")
    return 0


def _options(args: argparse.Namespace) -> int:
    from eureka_nlg.vision.classification.config import Config
    from eureka_nlg.vision.config_file import described_options
    from eureka_nlg.vision.detection.config import DetectionConfig

    classes: dict[str, type] = {"classification": Config, "detection": DetectionConfig}
    for key, kind, default, help in described_options(classes[args.task]):
        print(f"{key}={default}\n    {help} ({kind})")
    return 0


def _is_first_process() -> bool:
    return bool(require("accelerate", extra="vision").PartialState().is_main_process)
