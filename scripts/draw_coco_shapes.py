"""Draw a small data set in COCO's format: shapes on a textured background, long-tailed over the shapes.

python scripts/draw_coco_shapes.py --out data/shapes     # 600 images in half a minute

It makes train/, evaluation/ and annotations/instances_{train,evaluation}.json. One image in twenty is empty,
one in twenty has a crowd; category ids have gaps, like those of COCO. The evaluation images are balanced over
the shapes unless --evaluation-profile says otherwise.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from coco_shapes.data_set import draw_data_set
from coco_shapes.shapes import SHAPES
from eureka_nlg.errors import UserError


def main(argv: Sequence[str] | None = None) -> int:
    """Draw, print the objects of each class, return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--out", type=Path, required=True, help="folder to make")
    add("--train", type=int, default=400, metavar="N", help="training images (default: %(default)s)")
    add("--evaluation", type=int, default=200, metavar="N", help="evaluation images (default: %(default)s)")
    add("--size", type=int, default=128, help="longer side in pixels (default: %(default)s)")
    add("--objects", type=int, default=4, help="mean objects of an image (default: %(default)s)")
    add(
        "--imbalance",
        type=float,
        default=30.0,
        help="number of training objects of the most frequent shape over that of the rarest "
        "(default: %(default)g)",
    )
    add(
        "--evaluation-profile",
        choices=("balanced", "long_tailed"),
        default="balanced",
        help="how often each shape occurs in the evaluation images (default: %(default)s)",
    )
    add("--seed", type=int, default=1, help="seed of all random choices (default: %(default)s)")
    options = vars(parser.parse_args(argv))
    try:
        counts = draw_data_set(**options)
    except UserError as error:
        print(f"{parser.prog}: error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"{parser.prog}: error: {error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    for split, numbers in counts.items():
        print(f"{split}: " + ", ".join(f"{number} {name}" for name, number in zip(SHAPES, numbers)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
