"""Draw the figures of a results page from the JSON that its tables.py writes.

The bars that `eureka analyse` draws are drawn again, too, if likelihood_by_group.json lies beside it.

python scripts/draw_results.py convai2 docs/results/convai2/runs.json --out docs/results/convai2
python scripts/draw_results.py cifar_lt docs/results/cifar10_lt_short/runs.json --out figures
"""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path

from eureka_nlg.files import read_json
from eureka_nlg.report.figures import likelihood_by_group
from eureka_nlg.report.theme import write_figure

PAGES = sorted(path.parent.name for path in Path(__file__).parent.glob("*/figures.py"))


def main() -> None:
    """Read, draw, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("page", choices=PAGES, help="the results page")
    parser.add_argument("runs", type=Path, help="JSON file that its tables.py wrote")
    parser.add_argument("--out", type=Path, required=True, help="folder for the figures")
    args = parser.parse_args()
    figures = importlib.import_module(f"{args.page}.figures").FIGURES
    runs = read_json(args.runs)
    args.out.mkdir(parents=True, exist_ok=True)
    for name, draw in figures.items():
        write_figure(draw(runs), args.out, name)
    bars = args.runs.with_name("likelihood_by_group.json")
    if bars.exists():
        title = "How well each frequency group is predicted"
        figure = likelihood_by_group(read_json(bars), log_scaled=("perplexity",), title=title)
        write_figure(figure, args.out, bars.stem)


if __name__ == "__main__":
    main()
