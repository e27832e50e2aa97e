#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The offload part of the demo as a picture: who forwarded, over time."""

import json
import pathlib
import sys

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams.update(
    {
        # Text stays text, and the same run gives the same file.
        "svg.fonttype": "none",
        "svg.hashsalt": "offload",
        "font.family": "sans-serif",
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
)
import matplotlib.pyplot as plt  # noqa: E402

SIDES = (("ours", "our module (Rust)"), ("c", "C module, TC by userspace"))
ESWITCH, CPU, OFFERED = "#2a7f9e", "#d9822b", "#444444"


def series(samples):
    """Packets a second and CPU load between each two samples."""
    out = {k: [] for k in ("at", "offered", "eswitch", "cpu", "load")}
    for a, b in zip(samples, samples[1:], strict=False):
        seconds = b["at"] - a["at"]
        if seconds <= 0:
            continue

        def change(key, a=a, b=b):
            return b[key] - a[key]

        out["at"].append((a["at"] + b["at"]) / 2)
        out["offered"].append(change("offered") / seconds)
        # What came out and was not sent by the processor, the switch forwarded.
        cpu = change("from_cpu")
        out["cpu"].append(cpu / seconds)
        out["eswitch"].append(max(change("delivered") - cpu, 0) / seconds)
        out["load"].append(100 * change("time_kernel") / max(change("time_all"), 1))
    return out


def draw(axis, below, run, head):
    """One side: packets a second above, the processor's load below."""
    s = series(run["samples"])
    axis.stackplot(
        s["at"],
        s["cpu"],
        s["eswitch"],
        colors=[CPU, ESWITCH],
        labels=["delivered through the guest's CPU", "delivered by the eSwitch (model)"],
        linewidth=0,
    )
    axis.plot(s["at"], s["offered"], color=OFFERED, lw=1, ls="--", label="offered")
    axis.set_title(head, loc="left", fontsize=10, fontweight="bold", pad=16)
    axis.margins(x=0)
    below.fill_between(s["at"], s["load"], color="#888888", lw=0)
    below.set_xlabel("seconds")
    below.margins(x=0)
    for phase in run["phases"]:
        start, end = phase["before"]["at"], phase["after"]["at"]
        for a in (axis, below):
            a.axvspan(start, end, color="#000000", alpha=0.05, lw=0, zorder=0)
        axis.annotate(
            phase["title"],
            ((start + end) / 2, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(0, 3),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=8,
        )


def main():
    if len(sys.argv) < 2:
        print("usage: demo_chart.py RESULTS [FORMAT...]", file=sys.stderr)
        return 2
    folder = pathlib.Path(sys.argv[1])
    runs = json.loads((folder / "offload.json").read_text())["runs"]
    sides = [(n, head) for n, head in SIDES if len(runs[n].get("samples", ())) > 2]
    if not sides:
        print("error: nothing was measured, so there is no picture", file=sys.stderr)
        return 1
    spans = [runs[n]["samples"][-1]["at"] for n, _ in sides]
    figure, axes = plt.subplots(
        2,
        len(sides),
        figsize=(11, 4.6),
        squeeze=False,
        sharex="col",
        sharey="row",
        gridspec_kw={"height_ratios": [3, 1], "width_ratios": spans},
        layout="constrained",
    )
    for column, (name, head) in enumerate(sides):
        draw(axes[0][column], axes[1][column], runs[name], head)
    axes[0][0].set_ylabel("packets per second")
    axes[1][0].set_ylabel("CPU load, %\nsoftirq + system")
    # After both sides are drawn: what is set stays.
    axes[0][0].set_ylim(bottom=0)
    axes[1][0].set_ylim(bottom=0)
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    figure.suptitle(
        "Open vSwitch, 64-byte packets between virtual functions and the wire, mlx5_core on a "
        "device model: paths and CPU load, not a card's rates",
        fontsize=9,
    )
    for kind in sys.argv[2:] or ["svg"]:
        figure.savefig(
            folder / f"offload.{kind}", metadata={"Date": None} if kind == "svg" else None
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
