"""A voice process that lost a thread ends, so that a whole one is started."""

from __future__ import annotations

import subprocess
import sys

FAILING_THREAD = """
import threading, time
from appliance.media.__main__ import end_with_thread

def fail():
    raise MemoryError("no sound")

threading.excepthook = end_with_thread
threading.Thread(target=fail).start()
time.sleep(60)
"""


def test_a_failing_thread_ends_the_process() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FAILING_THREAD],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 1
    assert "MemoryError: no sound" in done.stderr
