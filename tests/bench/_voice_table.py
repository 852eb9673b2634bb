"""The table of speech over bad links: one line a row and system, and the figures for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

from _scores import Score
from _traces import GOAL_KBIT_S, Row
from harness import Report

HEADINGS = (
    "row",
    "who",
    "calls",
    "PESQ",
    "least",
    "STOI",
    "mouth to ear",
    "payload",
    "peak",
    "on the wire",
)
LINE = "{:9} {:9} {:>5} {:>6} {:>6} {:>6} {:>13} {:>8} {:>5} {:>11}  {}"


@dataclass(frozen=True)
class Result:
    """Of one call."""

    scores: list[Score]
    """Of each clip."""

    payload_kbit_s: float
    """Of RTP payload, as sent, once there was time to adapt."""

    peak_kbit_s: float
    """The same of the busiest second."""

    wire_kbit_s: float
    """Of IP packets of RTP and RTCP, likewise."""

    note: str = ""
    """What else there is to say."""


def means(results: Sequence[Result]) -> dict[str, float]:
    """Of all clips of all calls; mouth to ear in ms."""
    found = [score for result in results for score in result.scores]
    return {
        "pesq": mean(score.pesq for score in found),
        "least": min(score.pesq for score in found),
        "stoi": mean(score.stoi for score in found),
        "mouth_to_ear_ms": mean(score.lag_s for score in found) * 1000,
        "kbit_s": mean(result.payload_kbit_s for result in results),
        "peak_kbit_s": max(result.peak_kbit_s for result in results),
        "wire_kbit_s": mean(result.wire_kbit_s for result in results),
    }


def heading() -> str:
    """The first line."""
    return LINE.format(*HEADINGS, "").rstrip()


def line(kind: Row, who: str, results: Sequence[Result]) -> str:
    """One of the others."""
    of = means(results)
    figures = (f"{of['pesq']:.2f}", f"{of['least']:.2f}", f"{of['stoi']:.3f}")
    lag, payload = f"{of['mouth_to_ear_ms']:.0f} ms", f"{of['kbit_s']:.1f}"
    rates = (payload, f"{of['peak_kbit_s']:.0f}", f"{of['wire_kbit_s']:.1f}")
    note = results[0].note if len(results) == 1 else ""
    said = "; ".join(word for word in (_verdict(kind, of) if who == "ours" else "", note) if word)
    return LINE.format(kind.name, who, len(results), *figures, lag, *rates, said).rstrip()


def _verdict(kind: Row, of: dict[str, float]) -> str:
    missed = []
    if kind.goal_pesq is not None and of["pesq"] < kind.goal_pesq:
        missed.append(f"PESQ {kind.goal_pesq:g}")
    if of["kbit_s"] > GOAL_KBIT_S:
        missed.append(f"{GOAL_KBIT_S:g} kbit/s")
    if of["mouth_to_ear_ms"] > kind.goal_delay_ms:
        missed.append(f"{kind.goal_delay_ms:g} ms")
    return f"missed: {', '.join(missed)}" if missed else "met"


def summary(
    report: Report, rows: Sequence[Row], results: dict[tuple[str, str], list[Result]]
) -> None:
    """All values: `rows` for programs, our own with their goals, and how far ahead we are."""
    table: list[dict[str, Any]] = []
    for kind in rows:
        entry: dict[str, Any] = {"trace": kind.name}
        for (name, who), calls in results.items():
            if name == kind.name:
                entry |= {f"{who}_{key}": round(value, 3) for key, value in means(calls).items()}
                entry[f"{who}_calls"] = len(calls)
        table.append(entry)
        ours = results.get((kind.name, "ours"))
        if ours:
            _add(report, kind, ours)
    report.note("rows", table)
    margins = [
        e["ours_pesq"] - e["baresip_pesq"]
        for e in table
        if {"ours_pesq", "baresip_pesq"} <= e.keys()
    ]
    if margins:
        report.add(
            "worst_margin", min(margins), goal=0.0, at_least=True, what="PESQ, ours less baresip's"
        )


def _add(report: Report, kind: Row, ours: list[Result]) -> None:
    what = "calls, mean of clips"
    quality = [mean(score.pesq for score in call.scores) for call in ours]
    report.add(f"{kind.name}_pesq", mean(quality), goal=kind.goal_pesq, at_least=True, what=what)
    lags = [score.lag_s * 1000 for call in ours for score in call.scores]
    report.add(
        f"{kind.name}_mouth_to_ear_ms", mean(lags), goal=kind.goal_delay_ms, what="mean of clips"
    )
    rates = [call.payload_kbit_s for call in ours]
    report.add(
        f"{kind.name}_payload_kbit_s", mean(rates), goal=GOAL_KBIT_S, what="RTP payload, as sent"
    )
