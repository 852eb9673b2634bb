"""A process that stores is killed at any moment, over and over: what it promised is there."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest
from promises import Promises
from serving import Server
from storer import Order

pytestmark = pytest.mark.timeout(240)

KILLS = 520
FRESH_EVERY = 52
"""Kills after which a new store is begun; up to then each process finds what the last one left."""

LONGEST_S = 0.06
"""A process lives, at most."""

MOST_LINES = 80
"""The same in things that it says."""

BEGINNINGS = 6
"""The first processes of a store are mostly killed while they make it."""

BEGINNING_S = 0.015


def copied(path: Path, to: Path) -> Path:
    """A copy as a power cut would leave it, so that the original goes on with its log."""
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(path.parent, to)
    return to / path.name


def test_every_promise_of_a_killed_process_is_kept(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    kept = unmade = 0
    with Server() as server:
        for kill in range(KILLS):
            number = kill % FRESH_EVERY
            path = tmp_path / f"{kill // FRESH_EVERY}" / "store.db"
            if number == 0:
                promises = Promises()
                path.parent.mkdir()
            order = Order(str(path), seed=dice.getrandbits(40), eager=dice.random() < 0.7)
            longest_s = BEGINNING_S if number < BEGINNINGS else LONGEST_S
            by_lines = number >= BEGINNINGS and dice.random() < 0.5
            for words in server.obey(
                order,
                kill_after_s=None if by_lines else dice.uniform(0, longest_s),
                kill_after_lines=dice.randrange(MOST_LINES) if by_lines else None,
            ):
                if words[0] != "dead":
                    promises.note(*words)
                else:
                    assert words == ["dead", "9"]
            unmade += not path.exists()
            promises.check(copied(path, tmp_path / "copy"))
            if number == FRESH_EVERY - 1:
                promises.check(path)
                kept += len(promises)
                shutil.rmtree(path.parent)
    print(f"{KILLS} kills, {unmade} before there was a store, {kept} promises kept")
    assert kept > 2 * KILLS
