"""The look of all figures: fonts and palette, and how a matplotlib figure gets into files and the page."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from eureka_nlg.errors import require
from eureka_nlg.files import write_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "PALETTE",
    "MARKERS",
    "DASHES",
    "HATCHES",
    "INK",
    "MUTED",
    "GRID",
    "GROUND",
    "themed",
    "inline_svg",
    "write_figure",
]

# Okabe and Ito's palette, which can be told apart with any colour vision; strongest contrast first.
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6d1f", "#7f7f7f")
# Colour is never the only mark.
MARKERS = ("o", "s", "D", "^", "v", "P", "X", "*")
DASHES = (
    "-",
    (0, (5, 1.5)),
    (0, (1, 1)),
    (0, (4, 1, 1, 1)),
    (0, (2, 1)),
    (0, (6, 1, 1, 1, 1, 1)),
    (0, (10, 2)),
    (0, (1, 2.5)),
)
HATCHES = ("", "////", "....", "\\\\\\\\", "xxxx", "----", "||||", "++++")  # of bars
INK, MUTED, GRID, GROUND = "#1b1f24", "#57606a", "#d8dee4", "#ffffff"

# On the page these colours are CSS variables, so that the same figure works on light and dark ground.
_VARIABLES = {INK: "--ink", MUTED: "--muted", GRID: "--grid", GROUND: "--ground"}
_VARIABLES |= {color: f"--series-{index}" for index, color in enumerate(PALETTE, 1)}

_STYLE = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same figure on every machine
    "font.size": 8.5,
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 8.5,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": MUTED,
    "axes.titlecolor": INK,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "hatch.linewidth": 0.8,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "figure.titlesize": 10.5,
    "figure.titleweight": "bold",
    "lines.linewidth": 1.6,
    "lines.markersize": 4,
    "text.parse_math": False,  # a run may have a dollar in its name
    "svg.hashsalt": "eureka",  # the same figure gives the same bytes
}

_F = TypeVar("_F", bound=Callable[..., Any])


@contextmanager
def _style(**more: Any) -> Iterator[None]:
    matplotlib = require("matplotlib", extra="report")
    # the defaults first: a matplotlibrc of the user must not change the report
    with matplotlib.rc_context({**matplotlib.rcParamsDefault, "backend": "agg", **_STYLE, **more}):
        yield


def themed(draw: _F) -> _F:
    """Let a function draw in the style of the report, and leave matplotlib's settings as they were."""

    @wraps(draw)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        with _style():
            return draw(*args, **kwargs)

    return wrapper  # type: ignore[return-value]


def inline_svg(figure: Figure, name: str, description: str) -> str:
    """The figure as an ``<svg>`` element for a page whose CSS defines the colours.

    Text stays text, in the font of the page. Ids begin with ``name``, so that a page can hold many figures.

    Args:
        figure: from :mod:`eureka_nlg.report.figures`.
        name: letters, digits and dashes; unique in the page.
        description: what a screen reader says instead of the figure.

    Returns:
        Markup without XML declaration, metadata or a fixed size.
    """
    buffer = io.StringIO()
    with _style(**{"svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    for element in ("metadata", 'style type="text/css"'):  # the style would act on the whole page
        svg = re.sub(rf"<{element}>.*?</{element.split()[0]}>\s*", "", svg, count=1, flags=re.DOTALL)
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', svg)
    svg = re.sub(r'(url\(|xlink:href=")#', rf"\1#{name}-", svg)
    svg = svg.replace(' xmlns:xlink="http://www.w3.org/1999/xlink"', "").replace("xlink:href", "href")
    # a text is placed by its anchor, so the page may use its own font
    svg = re.sub(r" font-family: [^;\"]*;?", "", svg)
    # a hundredth of a point is finer than any screen
    svg = re.sub(r"<[^>]+>", lambda tag: re.sub(r"(\.\d\d)\d+", r"\1", tag[0]), svg)
    for color, variable in _VARIABLES.items():
        svg = svg.replace(color, f"var({variable})")
    view_box = re.search(r'viewBox="[^"]+"', svg)
    assert view_box is not None  # matplotlib writes one
    label = description.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    opening = f'<svg {view_box[0]} role="img" aria-label="{label}" xmlns="http://www.w3.org/2000/svg">'
    return opening + svg[svg.index(">") + 1 :].strip()


def write_figure(figure: Figure, folder: str | os.PathLike[str], name: str) -> list[Path]:
    """Write ``name.svg`` and ``name.png`` (200 dots per inch, white background), each whole or not at all.

    Returns:
        The two paths.
    """
    folder = Path(folder)
    paths = [folder / f"{name}.svg", folder / f"{name}.png"]
    for path in paths:
        metadata = {"Date": None} if path.suffix == ".svg" else None
        with write_whole(path) as file, _style():
            figure.savefig(file, format=path.suffix[1:], dpi=200, facecolor="white", metadata=metadata)
    return paths
