"""What every bench shares: collecting samples, the table for people, the JSON line for programs.

A bench is a module beside this one with a one-line docstring and `main(argv) -> int`:

    def main(argv: list[str]) -> int:
        args = arguments(__doc__).parse_args(argv)
        report = Report("discovery")
        report.add("cold_start_s", samples, goal=2.0, what="start of both to proved session")
        return report.finish(json=args.json)

    if __name__ == "__main__":
        raise SystemExit(main(sys.argv[1:]))

The unit is the end of a value's name. A goal is printed with "met" or "missed" beside it and never
changes the exit code: timings depend on the machine. Run alone, this module lists the benches.
"""

import argparse
import ast
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from json import dumps
from pathlib import Path
from typing import Any

UNITS = {
    "per_s": "/s",
    "kbit_s": "kbit/s",
    "s": "s",
    "ms": "ms",
    "us": "µs",
    "mb": "MB",
    "pct": "%",
    "mbit_s": "Mbit/s",
}
"""Ends of value names, and how they are printed."""
MINIMUM_FOR_TAIL = 20
"""A p95 of fewer samples says nothing."""
HEADINGS = ("value", "result", "goal", "p95", "worst", "runs", "what")


@dataclass(frozen=True)
class Value:
    """One measured value of a report."""

    name: str
    """Its key in the JSON object; ends in its unit."""
    result: Any
    """A number, or a list or an object that only the JSON line shows."""
    samples: tuple[float, ...]
    """What the number is made from; empty where it was measured as one number."""
    goal: float | None
    """What it should reach."""
    at_least: bool
    """Whether more is better than the goal; else less is."""
    what: str
    """What was measured, in words."""

    @property
    def met(self) -> bool | None:
        """Whether the goal was reached; None without a goal."""
        if self.goal is None:
            return None
        return bool(self.result >= self.goal if self.at_least else self.result <= self.goal)


def percentile(samples: Sequence[float], percent: float) -> float:
    """The value that `percent` of the samples do not exceed, interpolated between neighbours."""
    if not samples:
        raise ValueError("a percentile needs at least one sample")
    ordered = sorted(samples)
    position = (len(ordered) - 1) * percent / 100
    low = int(position)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (position - low)


class Report:
    """The values of one bench, in the order in which they were added."""

    def __init__(self, bench: str) -> None:
        self.bench = bench
        self.load1 = os.getloadavg()[0]
        self._values: dict[str, Value] = {}

    def add(
        self,
        name: str,
        samples: float | Sequence[float],
        *,
        goal: float | None = None,
        at_least: bool = False,
        percent: float = 50,
        what: str = "",
    ) -> float:
        """Adds the median (or another percentile) of the samples, or a single number."""
        several = (
            tuple(float(sample) for sample in samples) if isinstance(samples, Sequence) else ()
        )
        result = percentile(several, percent) if isinstance(samples, Sequence) else float(samples)
        self._put(Value(name, result, several, goal, at_least, what))
        return result

    def note(self, name: str, value: Any, *, what: str = "") -> None:
        """Adds something that is not a number, such as a list of rows, to the JSON object."""
        self._put(Value(name, value, (), None, False, what))

    def _put(self, value: Value) -> None:
        if value.name in self._values:
            raise ValueError(f"{value.name} was added twice")
        self._values[value.name] = value

    def as_json(self) -> dict[str, Any]:
        """The JSON object: every value, how many samples each was made from, and the load."""
        return {
            "bench": self.bench,
            **{name: _rounded(value.result) for name, value in self._values.items()},
            "runs": {n: len(v.samples) for n, v in self._values.items() if v.samples},
            "goals": {n: v.goal for n, v in self._values.items() if v.goal is not None},
            "load1": round(self.load1, 2),
        }

    def finish(self, *, json: bool) -> int:
        """Prints the table, and as the last line the JSON object where it is wanted; returns 0."""
        numbers = [v for v in self._values.values() if isinstance(v.result, (int, float))]
        rows = [HEADINGS, *(_row(value) for value in numbers)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        print(f"{self.bench}   (load {self.load1:.2f} on {os.cpu_count()} cores at the start)\n")
        for row in rows:
            name, *middle, what = row
            cells = [cell.rjust(width) for cell, width in zip(middle, widths[1:-1], strict=True)]
            print("  ".join([name.ljust(widths[0]), *cells, what]).rstrip())
        if json:
            print(dumps(self.as_json()), flush=True)
        return 0


def unit_of(name: str) -> str:
    """The printed unit of a value by the end of its name; empty for a plain number.

    >>> unit_of("sustained_per_s"), unit_of("idle_cpu_pct"), unit_of("fsyncs_per_delivery")
    ('/s', '%', '')
    """
    for end, unit in sorted(UNITS.items(), key=lambda item: -len(item[0])):
        if name.endswith(f"_{end}"):
            return unit
    return ""


def _rounded(value: Any) -> Any:
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _number(value: float, unit: str) -> str:
    digits = 0 if value == int(value) and abs(value) >= 100 else 3 if abs(value) < 1 else 2
    return f"{value:.{digits}f} {unit}".rstrip()


def _row(value: Value) -> tuple[str, ...]:
    unit = unit_of(value.name)
    goal = ""
    if value.goal is not None:
        sign = "≥" if value.at_least else "≤"
        goal = f"{sign} {value.goal:g} {'met' if value.met else 'missed'}"
    several = len(value.samples) >= 2
    tail = len(value.samples) >= MINIMUM_FOR_TAIL
    worst = min(value.samples, default=0) if value.at_least else max(value.samples, default=0)
    return (
        value.name,
        _number(value.result, unit),
        goal,
        _number(percentile(value.samples, 95), unit) if tail else "",
        _number(worst, unit) if several else "",
        str(len(value.samples) or ""),
        value.what,
    )


def arguments(doc: str | None) -> argparse.ArgumentParser:
    """A parser with what every bench understands; add the bench's own options to it."""
    parser = argparse.ArgumentParser(description=(doc or "").strip().split("\n")[0])
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    return parser


def benches(directory: Path) -> Mapping[str, str]:
    """Name and first docstring line of every bench in a directory."""
    found = {}
    for path in sorted(directory.glob("*.py")):
        if path.stem != "harness" and not path.stem.startswith("_"):
            doc = ast.get_docstring(ast.parse(path.read_text())) or ""
            found[path.stem] = doc.split("\n")[0]
    return found


def main() -> int:
    """Lists the benches."""
    listed = benches(Path(__file__).parent)
    print("scripts/bench NAME [--json]\n")
    for name, summary in listed.items():
        print(f"  {name:<14} {summary}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
