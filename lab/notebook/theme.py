"""One look for every figure: a colour-blind palette in which marker and line style differ too, and stable bytes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["COLOURS", "LINES", "MARKERS", "figure_theme", "save", "style"]

# Okabe-Ito without its yellow (too pale for lines on white) and black (kept for axes and references).
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = ("o", "s", "^", "D", "v", "P")
LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (3, 1)))
GREY = "#666666"

_SETTINGS: dict[str, Any] = {
    "figure.dpi": 100,
    "savefig.dpi": 160,
    "figure.constrained_layout.use": True,
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same glyphs on every host
    "font.size": 9.5,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.labelsize": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#444444",
    "axes.linewidth": 0.8,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.7,
    "xtick.color": "#444444",
    "ytick.color": "#444444",
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.8,
    "lines.markersize": 5,
    "axes.formatter.useoffset": False,
}


def style(index: int) -> dict[str, Any]:
    """Return colour, marker and line style of series `index`; all three differ between neighbours."""
    return {
        "color": COLOURS[index % len(COLOURS)],
        "marker": MARKERS[index % len(MARKERS)],
        "linestyle": LINES[index % len(LINES)],
    }


@contextmanager
def figure_theme(salt: str) -> Iterator[Any]:
    """Give pyplot under the theme, without a display; `salt` makes the ids inside an SVG repeatable."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    settings: dict[Any, Any] = dict(matplotlib.rcParamsDefault)
    settings.update(_SETTINGS)
    settings.update({"svg.hashsalt": salt, "backend": "Agg"})
    with matplotlib.rc_context(settings):
        try:
            yield pyplot
        finally:
            pyplot.close("all")


def save(figure: Any) -> tuple[bytes, bytes]:
    """Return the figure as (SVG, PNG) bytes; the same drawing gives the same bytes."""
    import io

    svg, png = io.BytesIO(), io.BytesIO()
    figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": "golab"})
    figure.savefig(png, format="png", metadata={"Software": None})
    return svg.getvalue(), png.getvalue()
