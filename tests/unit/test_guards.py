"""The guards themselves: each kind of leak fails its test, and ordinary tests pass."""

from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent.parent

LEAKY = """
import asyncio, os, socket, subprocess, threading, warnings
kept = []

async def test_task():
    kept.append(asyncio.create_task(asyncio.Event().wait(), name="straggler"))

def test_thread():
    threading.Thread(target=threading.Event().wait, name="straggler", daemon=True).start()

def test_socket():
    kept.append(socket.socket())

def test_descriptor():
    kept.append(os.open("/dev/null", os.O_RDONLY))

def test_child():
    kept.append(subprocess.Popen(["sleep", "600"]))

def test_detached_grandchild():
    subprocess.run(["sh", "-c", "setsid sleep 601 >/dev/null 2>&1 &"], check=True)

def test_child_of_a_failing_test():
    kept.append(subprocess.Popen(["sleep", "602"]))
    raise AssertionError("its own failure")

def test_warning():
    warnings.warn("old", DeprecationWarning)

def test_forgotten_file():
    open("/dev/null").read()

def test_hang():
    threading.Event().wait()
"""

CLEAN = """
import asyncio, socket, subprocess, threading
import pytest
from hypothesis import given, strategies

@pytest.fixture(scope="module")
def shared():
    with subprocess.Popen(["sleep", "600"]) as child, socket.socket() as sock:
        yield sock
        child.kill()

@pytest.fixture
async def server():
    accepted = []
    async def accept(reader, writer):
        accepted.append(asyncio.current_task())
        await reader.read()
        writer.close()
    async with await asyncio.start_server(accept, "127.0.0.1", 0) as listening:
        yield listening.sockets[0].getsockname()[1]
    await asyncio.gather(*accepted)

def test_shared(shared):
    shared.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE)

async def test_async_fixture(server):
    _, writer = await asyncio.open_connection("127.0.0.1", server)
    writer.close()
    await writer.wait_closed()

async def test_default_executor():
    await asyncio.to_thread(threading.get_ident)

async def test_child():
    child = await asyncio.create_subprocess_exec("true")
    await child.wait()

def test_cycle_that_holds_a_closed_socket():
    sock = socket.socket()
    cycle = [sock]
    cycle.append(cycle)
    sock.close()

def test_thread_that_is_ending():
    threading.Thread(target=threading.Event().wait, args=(0.05,)).start()

def test_own_loop():
    asyncio.run(asyncio.sleep(0))

@given(strategies.integers())
def test_property(number):
    assert number == number

def test_home(tmp_path):
    import os
    assert "fencewire-tests-" in os.environ["XDG_STATE_HOME"]
"""

IMPATIENCE = """

def pytest_collection():
    import guards
    guards.GRACE_S = 0.2
"""


@pytest.fixture
def guarded(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A test run of its own with this project's guards."""
    monkeypatch.setenv("PYTHONPATH", f"{TESTS}:{TESTS.parent}")
    monkeypatch.setenv("COLUMNS", "300")
    pytester.makeini("[pytest]\nasyncio_mode = auto\nfilterwarnings = error\ntimeout = 1\n")
    conftest = (TESTS / "conftest.py").read_text()
    pytester.makeconftest(conftest + IMPATIENCE)
    return pytester


def test_every_leak_fails_its_test(guarded: pytest.Pytester) -> None:
    guarded.makepyfile(LEAKY)
    result = guarded.runpytest_subprocess("-rfE")
    leaks = ("task", "thread", "socket", "descriptor", "child", "detached_grandchild")
    result.stdout.fnmatch_lines_random(
        [
            *(f"ERROR *::test_{leak} - *left over*" for leak in leaks),
            "FAILED *::test_child_of_a_failing_test - *its own failure*",
            "FAILED *::test_warning - DeprecationWarning*",
            "FAILED *::test_forgotten_file*",
            "FAILED *::test_hang - Failed: Timeout*",
        ]
    )
    result.assert_outcomes(passed=6, errors=6, failed=4)


def test_ordinary_tests_pass(guarded: pytest.Pytester) -> None:
    guarded.makepyfile(CLEAN)
    result = guarded.runpytest_subprocess()
    result.assert_outcomes(passed=9)
