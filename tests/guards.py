"""Fails a test that leaves something running or open: the guards behind `conftest.py`.

Guarded are asyncio tasks, threads, file descriptors (so sockets too), child processes, also those
that detached themselves, and named network namespaces. What was there before a test's own fixtures,
such as a village that a module shares, is not the test's. A test that failed is not blamed a second
time, since its traceback keeps things alive; its processes are ended all the same.
"""

import asyncio
import ctypes
import gc
import os
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable, Generator, Hashable, Iterator, Mapping
from contextlib import suppress
from inspect import iscoroutinefunction
from multiprocessing import resource_tracker
from pathlib import Path

import pytest

GRACE_S = 1.0
"""How long something that is just ending may take; nearly always it is gone at the first look."""
POLL_S = 0.005
PR_SET_CHILD_SUBREAPER = 36
"""prctl(2): processes whose parent ended become our children, so that they can be seen."""

FAILED = pytest.StashKey[bool]()

Snapshot = Mapping[Hashable, str]
"""What there is, and what to call it so that somebody finds out where it came from."""


def threads() -> Snapshot:
    """Threads that Python started; it only hears of others, and never that they ended."""
    return {
        thread: f"thread {thread.name}"
        for thread in threading.enumerate()
        if not isinstance(thread, threading._DummyThread)
    }


def descriptors() -> Snapshot:
    """Open file descriptors with what they point to, so that a number used again counts as new."""
    tracker = getattr(resource_tracker, "_resource_tracker", None)
    found: dict[Hashable, str] = {}
    for entry in Path("/proc/self/fd").iterdir():
        try:
            target = str(entry.readlink())
        except FileNotFoundError:  # the listing's own
            continue
        # multiprocessing keeps one process, and one pipe to it, for good.
        if int(entry.name) != getattr(tracker, "_fd", None):
            found[entry.name, target] = f"file descriptor {entry.name} ({target})"
    return found


def child_pids() -> list[int]:
    """Our children, by the kernel's own list where it keeps one."""
    lists = [task / "children" for task in Path("/proc/self/task").iterdir()]
    with suppress(FileNotFoundError, ProcessLookupError):
        return [int(pid) for path in lists for pid in path.read_text().split()]
    pids = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):
            if int(path.read_text().rpartition(")")[2].split()[1]) == os.getpid():
                pids.append(int(path.parent.name))
    return pids


def children() -> Snapshot:
    """Running child processes. Zombies do not count: an unread exit is a warning of its own."""
    found: dict[Hashable, str] = {}
    for pid in child_pids():
        with suppress(FileNotFoundError, ProcessLookupError):
            command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
            if state not in "ZX" and "multiprocessing.resource_tracker" not in command:
                found[pid] = f"process {pid} ({command.strip()})"
    return found


def namespaces() -> Snapshot:
    """Network namespaces made by `ip netns`; others live as long as a process that is in them."""
    directory = Path("/run/netns")
    names = [path.name for path in directory.iterdir()] if directory.is_dir() else []
    return {name: f"network namespace {name}" for name in names}


LOOKS: tuple[Callable[[], Snapshot], ...] = (threads, descriptors, children, namespaces)


def left_over(before: list[Snapshot]) -> list[str]:
    """What is there and was not before, in words; waits a little for what is just ending."""
    deadline = time.monotonic() + GRACE_S
    collected = False
    while True:
        new = [
            name
            for look, old in zip(LOOKS, before, strict=True)
            for key, name in look().items()
            if key not in old
        ]
        if not new or time.monotonic() > deadline:
            return new
        if not collected:
            gc.collect()  # what only a cycle holds; unclosed, it fails the test by its warning
            collected = True
        time.sleep(POLL_S)


def end_processes(before: Snapshot) -> None:
    """Kills and reaps the children that are not of before, so that the next test starts clean."""
    for pid in child_pids():
        command = Path(f"/proc/{pid}/cmdline")
        with suppress(FileNotFoundError, ProcessLookupError, ChildProcessError):
            if (
                pid not in before
                and b"multiprocessing.resource_tracker" not in command.read_bytes()
            ):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)


@pytest.fixture(autouse=True)
def nothing_left_over(request: pytest.FixtureRequest) -> Iterator[None]:
    """Compares what runs and is open before a test's fixtures and after them."""
    before = [look() for look in LOOKS]
    yield
    failed = request.node.stash.get(FAILED, False)
    new = [] if failed else left_over(before)
    end_processes(before[LOOKS.index(children)])
    if new:
        pytest.fail("The test left over: " + "; ".join(new), pytrace=False)


@pytest.fixture
async def no_task_left_over(request: pytest.FixtureRequest) -> AsyncIterator[None]:
    """The same for tasks, inside the test's loop, which would cancel them without a word."""
    before = asyncio.all_tasks()
    yield
    new = asyncio.all_tasks() - before - {asyncio.current_task()}
    if new:
        _, new = await asyncio.wait(new, timeout=GRACE_S)
    if new and not request.node.stash.get(FAILED, False):
        names = "; ".join(f"task {task.get_name()} ({task.get_coro()})" for task in new)
        pytest.fail(f"The test left over: {names}", pytrace=False)


def pytest_configure() -> None:
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Gives async tests their second guard, set up right after the first: it ends before it."""
    for item in items:
        if isinstance(item, pytest.Function) and iscoroutinefunction(item.function):
            guard = nothing_left_over.__name__
            position = item.fixturenames.index(guard) + 1 if guard in item.fixturenames else 0
            item.fixturenames.insert(position, no_task_left_over.__name__)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        item.stash[FAILED] = True
    return report
