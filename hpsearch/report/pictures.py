"""PNG pictures for places that run no scripts, such as MLflow's artifact preview."""

import io
from typing import TYPE_CHECKING

from hpsearch import analysis
from hpsearch.report.style import BLUE, GREY, LIGHT, ORANGE

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def curves_picture(info: analysis.CurvesInfo, trial: int) -> bytes:
    """One trial's curves as PNG: the loss on the left axis, the objective's metric on the right, bands of ± 1 sd."""
    from matplotlib.ticker import MaxNLocator

    shown = next(one for one in info.trials if one.trial == trial)
    figure = _figure(8.0, 4.2)
    left = figure.add_subplot()
    axes = [left, left.twinx()] if len(info.pairs) > 1 else [left]
    epochs = list(shown.epochs)
    for axis, pair in zip(axes, info.pairs, strict=True):
        color = ORANGE if pair[0] == "loss" else BLUE
        for name, line in zip(pair, (":", "-"), strict=True):
            curve = shown.curves.get(name)
            if curve is None:
                continue
            axis.plot(epochs, curve.mean, line, color=color, label=name, marker="o" if len(epochs) == 1 else None)
            if curve.std:
                lower = [mean - std for mean, std in zip(curve.mean, curve.std, strict=True)]
                upper = [mean + std for mean, std in zip(curve.mean, curve.std, strict=True)]
                axis.fill_between(epochs, lower, upper, color=color, alpha=0.15, linewidth=0)
        axis.set_ylabel(pair[0], color=color)
        axis.spines["top"].set_visible(False)
    if shown.score_epoch is not None:
        left.axvline(shown.score_epoch, color=GREY, linestyle="--", linewidth=1)
    left.set_xlabel("epoch")
    left.xaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 2.5, 5, 10], integer=True))
    left.set_title(f"trial {trial}: mean over folds, band of ± one standard deviation", loc="left", fontsize=11)
    legends = [axis.get_legend_handles_labels() for axis in axes]
    left.legend(
        [handle for handles, _ in legends for handle in handles],
        [label for _, labels in legends for label in labels],
        frameon=False,
        loc="center right",
    )
    return _png(figure)


def importance_picture(info: analysis.ImportanceInfo) -> bytes:
    """Each hyperparameter's share, and what chance alone reaches, as PNG."""
    rows = info.bars[::-1]
    figure = _figure(8.0, 1.5 + 0.4 * len(rows))
    axis = figure.add_subplot()
    colors = [BLUE if row.told else LIGHT for row in rows]
    bars = axis.barh([row.label for row in rows], [100 * row.share for row in rows], color=colors)
    for text, row in zip(axis.bar_label(bars, [row.text for row in rows], padding=12), rows, strict=True):
        text.set_color(BLUE if row.told else GREY)
    floors = [(100 * row.floor, row.label) for row in rows if row.floor is not None]
    axis.plot(
        [floor for floor, _ in floors],
        [label for _, label in floors],
        "|",
        color=ORANGE,
        markersize=14,
        markeredgewidth=2,
        label="what chance alone reaches",
    )
    axis.set_xlim(left=0)
    axis.margins(x=0.25)
    axis.legend(frameon=False, loc="lower right")
    axis.set_xlabel("share of the variance of the scores' ranks, %")
    axis.set_title(f"importance ({info.trials} complete trials)", loc="left", fontsize=11)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    return _png(figure)


def _figure(width: float, height: float) -> "Figure":
    # Not pyplot, which has global state and may open a display.
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _png(figure: "Figure") -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, facecolor="white")
    return buffer.getvalue()
