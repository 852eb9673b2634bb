"""What is measured in real time is measured again where the machine stood still meanwhile.

A failure counts if nothing disturbed it.  Where each try was disturbed, nothing can be told, and
the test is reported as skipped, with that as its reason.  What was tried again is told at the end.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from _pytest.runner import runtestprotocol
from standstill import Witness

REAL_TIME = ("tests/sound/", "tests/village/", "tests/unit/media/test_voice_process.py")
"""Where sound is heard at its own pace."""

TRIES = 4

STOOD_STILL = "stood still"
"""Property of a report: the longest time in seconds."""

WITNESS = pytest.StashKey[Witness]()


def _witness(config: pytest.Config) -> Witness:
    if WITNESS not in config.stash:
        config.stash[WITNESS] = Witness()
    return config.stash[WITNESS]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Run one that is measured in real time, a few times if need be."""
    if not item.nodeid.startswith(REAL_TIME):
        return None
    witness = _witness(item.config)
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    still: list[float] = []
    for _ in range(TRIES):
        began = time.monotonic()
        reports = runtestprotocol(item, nextitem=nextitem, log=False)
        if not any(report.failed for report in reports):
            break
        still.append(witness.longest_s(began))
        if not still[-1]:
            break
    if len(still) == TRIES and all(still):
        _cannot_tell(item, reports, still)
    for report in reports:
        if still and report.when == "teardown":
            report.user_properties.append((STOOD_STILL, max(still)))
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def _cannot_tell(item: pytest.Item, reports: list[pytest.TestReport], still: list[float]) -> None:
    longest = ", ".join(f"{1000 * one:.0f}" for one in still)
    reason = f"Skipped: the machine stood still in each try (ms): {longest}"
    for report in reports:
        if report.failed:
            print(f"{item.nodeid}: {report.longreprtext}")
            report.outcome = "skipped"
            report.longrepr = (str(Path(item.path)), item.location[1] or 0, reason)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what did not pass at once."""
    for reports in terminalreporter.stats.values():
        for report in reports:
            still = dict(getattr(report, "user_properties", ())).get(STOOD_STILL)
            if still:
                terminalreporter.write_line(
                    f"tried again, the machine stood still for {1000 * float(still):.0f} ms:"
                    f" {report.nodeid}"
                )


def pytest_sessionfinish(session: pytest.Session) -> None:
    """The witness goes too."""
    if WITNESS in session.config.stash:
        session.config.stash[WITNESS].close()
