"""What all figures share: panels in rows, a legend below, log scales, a colour and mark for each system."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from eureka_nlg.errors import require
from eureka_nlg.report.theme import DASHES, GROUND, HATCHES, MARKERS, PALETTE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "new_figure",
    "add_legend",
    "set_log_axis",
    "spread",
    "short",
    "union",
    "color_of",
    "marker_of",
    "dash_of",
    "bar_style",
]

_MOST_TICKS = 8  # of a logarithmic axis
_WIDE, _NARROW = 9.0, 3.7  # inches; the page shows them about 1100 and 350 CSS pixels wide


def new_figure(
    number: int, narrow: bool, columns: int, height: float, title: str, width: float = _WIDE
) -> tuple[Figure, list[Axes]]:
    """A figure with this many panels, ``height`` inches each."""
    columns = 1 if narrow else max(1, min(columns, number))
    rows = math.ceil(number / columns)
    figure_class = require("matplotlib.figure", extra="report").Figure
    figure = figure_class(
        figsize=(_NARROW if narrow else width, rows * height + (0.7 if title else 0.4)),
        layout="constrained",
        facecolor="white",
    )
    if title:
        figure.suptitle(title, x=0.01, ha="left")
    grid = figure.add_gridspec(rows, columns)
    return figure, [figure.add_subplot(grid[index // columns, index % columns]) for index in range(number)]


def add_legend(figure: Figure, handles: Mapping[str, Any], narrow: bool, columns: int = 6) -> None:
    figure.legend(
        list(handles.values()),
        list(handles),
        loc="outside lower left",
        ncols=min(len(handles), 2 if narrow else columns) or 1,
        handlelength=3.0,
        columnspacing=1.4,
    )


def set_log_axis(axes: Axes, which: str, label: str) -> None:
    """Log scale with plain numbers at the ticks."""
    ticker = require("matplotlib.ticker", extra="report")
    axes.set(**{f"{which}scale": "log", f"{which}label": label})
    axis = getattr(axes, f"{which}axis")
    low, high = axis.get_view_interval()
    decades = math.log10(high / low) if 0 < low < high < math.inf else 1.0
    # less than a decade has no other tick to label than 2, 3, 5 ...
    subs = (1.0, 2.0, 5.0) if high < 30 * low else (1.0,)
    axis.set_major_locator(
        ticker.LogLocator(subs=subs, numticks=_MOST_TICKS if decades > _MOST_TICKS else None)
    )
    axis.set_major_formatter(
        ticker.FuncFormatter(lambda value, _: short(value) if value >= 1 else f"{value:g}")
    )
    axis.set_minor_locator(ticker.NullLocator())


def short(value: float) -> str:
    """Two or three digits, for a label on a bar or a tick.

    >>> [short(value) for value in (0, 1e-8, 0.0188, 0.5, 28.64, 955, 24_093_000, 1e46)]
    ['0', '0', '0.019', '0.5', '28.6', '955', '24M', '1e46']
    """
    if value >= 1e12:  # the perplexity of a model that has run away
        return f"{value:.0e}".replace("e+", "e")
    for start, size, letter in ((1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k")):
        if value >= start:
            return f"{value / size:.0f}{letter}" if value >= 10 * size else f"{value / size:.2g}{letter}"
    if value < 5e-5:
        return "0"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}" if value >= 1 else f"{value:.2g}"


def spread(values: Sequence[float], digits: int | None = None) -> str:
    """Mean and standard deviation of the sample; by default with the digits that suit the mean.

    >>> spread([1230.0, 1250.0]), spread([30.0, 31.0]), spread([0.5]), spread([71.5, 72.5], digits=2)
    ('1,240 ± 14', '30.5 ± 0.7', '0.50', '72.00 ± 0.71')
    """
    if not values:
        return ""
    mean = statistics.fmean(values)
    if digits is None:
        digits = 0 if mean >= 100 else 1 if mean >= 10 else 2
    deviation = f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{mean:,.{digits}f}{deviation}"


def union(mappings: Iterable[Mapping[str, Any]]) -> list[str]:
    """The keys of several mappings, in the order in which they first occur."""
    return list(dict.fromkeys(key for mapping in mappings for key in mapping))


def color_of(index: int) -> str:
    return PALETTE[index % len(PALETTE)]


def marker_of(index: int) -> str:
    return MARKERS[_shifted(index) % len(MARKERS)]


def dash_of(index: int) -> Any:
    return DASHES[_shifted(index) % len(DASHES)]


def _shifted(index: int) -> int:
    """So that systems of the same colour, of which there are eight, have different marks."""
    return index + index // len(PALETTE)


def bar_style(index: int) -> dict[str, Any]:
    """Colour and hatching of a system's bars, as options of ``Axes.bar``."""
    hatch = HATCHES[_shifted(index) % len(HATCHES)]
    return {"color": color_of(index), "hatch": hatch, "edgecolor": GROUND, "linewidth": 0}
