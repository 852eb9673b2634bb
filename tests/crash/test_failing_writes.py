"""Writing, syncing and cutting off fail at any call: it is refused, and what was promised stays."""

from __future__ import annotations

import errno
import random
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from promises import Promises
from serving import Server
from storer import Faults, Order

pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed"),
]

ROUNDS = 120
FRESH_EVERY = 20
DEEDS = 120
"""Things that are done in a round, some of them in vain."""

ERRORS = (errno.EIO, errno.ENOSPC)
KINDS = (1, 2, 4, 3, 7)
TIMES = (1, 1, 2, 10, 1_000_000)
"""Once, for a while, and until the end of the round."""

LATEST = 250
"""Calls that a round makes, about."""


@pytest.fixture(scope="module")
def failing_disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library that makes the disk of a program fail."""
    library = tmp_path_factory.mktemp("library") / "failing_disk.so"
    source = Path(__file__).with_name("failing_disk.c")
    options = ["-shared", "-fPIC", "-O", "-Wall", "-Werror"]
    subprocess.run(["gcc", *options, "-o", library, source], check=True)
    return library


def faults(dice: random.Random) -> Faults:
    return Faults(
        after=dice.randrange(dice.choice((10, LATEST))),
        times=dice.choice(TIMES),
        error=dice.choice(ERRORS),
        kinds=dice.choice(KINDS),
    )


def test_a_store_whose_writes_fail_keeps_every_promise(
    tmp_path: Path, failing_disk: Path, seed: int
) -> None:
    dice = random.Random(seed)
    refused: Counter[str] = Counter()
    rounds_refused = kept = 0
    with Server(preload=failing_disk) as server:
        for number in range(ROUNDS):
            path = tmp_path / f"{number // FRESH_EVERY}" / "store.db"
            if number % FRESH_EVERY == 0:
                promises = Promises()
                path.parent.mkdir()
            order = Order(
                str(path),
                seed=dice.getrandbits(40),
                eager=dice.random() < 0.7,
                deeds=DEEDS,
                faults=faults(dice),
                dies=number % 2 == 1,
            )
            codes: Counter[str] = Counter()
            works = False
            for words in server.obey(order):
                if words[0] == "refused":
                    codes[words[1]] += 1
                elif words == ["works"]:
                    works = True
                elif words[0] != "dead":
                    promises.note(*words)
                else:
                    assert words == ["dead", "0"], order
            assert works, order
            assert codes.keys() <= {"disk-error", "disk-full"}, (order, codes)
            promises.hold_to_what_was_shown()
            promises.check(path)
            refused += codes
            rounds_refused += bool(codes)
            kept += len(promises)
    print(f"{rounds_refused} of {ROUNDS} rounds with refusals {dict(refused)}, {kept} kept")
    assert rounds_refused > ROUNDS / 4
    assert refused["disk-error"]
