"""The store on a disk that fills up, in a process that is killed, and its cost in fsyncs."""

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
import store_child

from appliance.model.message import DeliveryState

PROGRAM = [sys.executable, store_child.__file__]
KILLS = 24


def check(path: Path, stored: set[str], read: set[str]) -> None:
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []
        ids = {
            row[0] for row in db.execute("SELECT hex(id) FROM records JOIN messages USING (number)")
        }
        states = db.execute(
            "SELECT hex(id) FROM records JOIN recipients ON message = number WHERE state = ?",
            (int(DeliveryState.READ),),
        )
        assert {one.upper() for one in stored} <= ids
        assert {one.upper() for one in read} <= {row[0] for row in states}


def test_what_was_said_to_be_stored_survives_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    seed = random.randrange(1 << 32)
    dice = random.Random(seed)
    said: dict[str, set[str]] = {"stored": set(), "read": set()}
    with subprocess.Popen(
        [*PROGRAM, "storm", str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        for kill in range(KILLS):
            print("go", file=child.stdin, flush=True)
            left = dice.randrange(150)
            pid = None
            for line in child.stdout:
                word, _, value = line.strip().partition(" ")
                if word == "dead":
                    break
                if word == "pid":
                    pid = int(value)
                else:
                    said[word].add(value)
                    left -= 1
                if pid is not None and left <= 0:
                    os.kill(pid, signal.SIGKILL)
                    pid, left = None, sys.maxsize
            if kill % 6 == 5:
                check(path, said["stored"], said["read"])
        child.stdin.close()
        assert child.wait(10) == 0, f"seed {seed}"
    assert len(said["stored"]) > KILLS
    assert said["read"]


def test_a_full_disk_stores_nothing_by_halves_and_works_again_with_room(tmp_path: Path) -> None:
    probe = subprocess.run(["unshare", "-Urm", "mount", "-t", "tmpfs", "x", str(tmp_path)])
    if probe.returncode:
        pytest.skip("no file system can be mounted here, not even in a namespace of our own")
    done = subprocess.run(
        ["unshare", "-Urm", *PROGRAM, "full", str(tmp_path)],
        check=True,
        stdout=subprocess.PIPE,
        timeout=50,
    )
    report = json.loads(done.stdout)
    assert report["checks"] == [["ok"]]
    assert report["readable"]
    assert report["codes"] == [
        [
            "disk-full",
            "The disk is full, so nothing more can be stored. "
            "Delete something or use a larger card.",
        ]
    ]
    assert report["lazy_codes"] == ["disk-full"]
    assert report["stored"] > 30
    assert report["refused"] > 30
    assert report["unread_when_full"] == report["stored"]
    assert report["stored_with_room"] == 30
    assert report["refused_with_room"] == 0


def test_a_commit_costs_one_fsync_however_many_share_it(tmp_path: Path) -> None:
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    trace = tmp_path / "trace"
    done = subprocess.run(
        [
            *["strace", "-f", "-e", "trace=fsync,fdatasync,chdir", "-o", str(trace)],
            *[*PROGRAM, "commits", str(tmp_path / "store.db")],
        ],
        stderr=subprocess.PIPE,
    )
    if b"ptrace" in done.stderr:
        pytest.skip("no process may be traced here")
    assert done.returncode == 0, done.stderr
    # A call that another thread's interrupts has two lines; only one has its arguments.
    sections = trace.read_text().split("chdir(")
    _, single, together, reads, lazy, _ = [
        section.count("fsync(") + section.count("fdatasync(") for section in sections
    ]
    assert single == store_child.COMMITS
    assert 1 <= together <= store_child.COMMITS // 4
    assert reads == 0
    assert lazy == 1
