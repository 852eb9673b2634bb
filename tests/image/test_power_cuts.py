"""Power cuts at any moment: it boots, it is the same station, and nothing acknowledged is lost.

Twice: by killing machines at random moments, and by replaying what one wrote to its disk up to
hundreds of places, with writes torn and reordered as a disk with a cache may do.
"""

from __future__ import annotations

import os
import random
import re
import time
from dataclasses import replace
from pathlib import Path

import pytest
from booted import (
    ASKING,
    BOOT_S,
    DATA_IS_MOUNTED,
    LOOK_EVERY_S,
    WITHIN_S,
    Booted,
    eventually,
)
from figures import Figures
from replay import Recording, choose_cuts, describe, replay
from station_check import StationCheck, Told

from appliance.model.identity import StationId
from images.vm import Kind, Machine, Network, Settings
from images.vm.qemu import DISK
from images.vm.write_log import Span, position_now

pytestmark = pytest.mark.timeout(3600)

CPUS = 1
"""Of each machine: an emulated kernel with two panics now and then while it loads modules."""

DISKS = 3
"""New disks."""
MAKING_DATA_S = 2.0
"""About how long a first boot writes the data partition, and the table with it in."""
TRAFFICS_CUT = 2
"""Cuts of each while it writes and is written to."""
TRAFFIC_S = (0.0, 20.0)
"""Seconds of traffic before a cut after the first message, at least and at most."""
PREFIXES = 240
"""Places of the log of writes at which the power goes."""
MIN_PREFIXES = 200
RECORD_S = 30.0
"""Seconds of traffic in that log."""
NUMBER = re.compile(r"\d{3}-\d{4}")
"""The station's own number is the first on its screen."""
WHERE_DATA_IS = "cd /sys/class/block/$(basename $(findmnt -no SOURCE /data)) && cat start size"
"""In sectors of 512 bytes."""
DISK_MB = 1024

TALK = (
    ASKING
    + """
import itertools
for number in itertools.count():
    body = json.dumps({"to": sys.argv[1], "text": f"message {number}"})
    print(json.loads(ask("POST", "/v1/messages", body))["id"], flush=True)
"""
)
"""Writes messages and prints the id of each once the station has said that it is kept."""


class Talk:
    """Somebody who writes without a pause, as heard outside of the machine."""

    def __init__(self, station: Booted, to: Booted, log: Path | None = None) -> None:
        """Begin. `log` is the log of writes of the station's disk."""
        self.kept: dict[str, int] = {}
        """Messages that the station has said to keep, and the place in the log by then."""
        self._log = log
        self._rest = b""
        self.command = station.machine.popen(["python3", "-uc", TALK, to.id], listener=self._listen)

    def _listen(self, stream: str, data: bytes) -> None:
        assert stream == "out", data.decode(errors="replace")
        *lines, self._rest = (self._rest + data).split(b"\n")
        place = position_now(self._log) if self._log else 0
        self.kept |= {line.decode(): place for line in lines}


def delivered(station: Booted, to: Booted) -> set[str]:
    """What a station says that the other has."""
    messages = station.messages(to.id).values()
    return {
        one["id"] for one in messages if one["outgoing"] and one["state"] in ("delivered", "read")
    }


def listen_to(*talks: Talk, seconds: float) -> None:
    """Let them talk."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for one in talks:
            assert one.command.poll() is None
        time.sleep(0.05)


def test_machines_are_killed(image: Path, kind: Kind, figures: Figures) -> None:
    """At random moments of the first boot and of traffic."""
    seed = int.from_bytes(os.urandom(4), "big")
    print(f"seed {seed}")
    dice = random.Random(seed)
    cuts, moments = 0, []
    with Network() as cable:
        common = Settings(image=image, kind=kind, disk_mb=DISK_MB, networks=(cable,), cpus=CPUS)
        with Machine(replace(common, name="peer")) as machine:
            peer = Booted(machine)
            peer.settle()
            for number in range(DISKS):
                with Machine(replace(common, name=f"disk {number}")) as machine:
                    seen = []
                    wait_for_first_write(machine)
                    for moment_s in (
                        machine.now_s + dice.uniform(0, MAKING_DATA_S),
                        dice.uniform(0.1, 1.3) * peer.screen_s,
                    ):
                        moments.append(f"{moment_s:.1f}")
                        seen += cut_boot(machine, moment_s)
                        cuts += 1
                    station = Booted(machine)
                    station.settle()
                    for own_number in seen:  # Another one would be another identity.
                        machine.serial.wait_for(own_number, timeout_s=WITHIN_S)
                    for _ in range(TRAFFICS_CUT):
                        cut_traffic(station, peer, seconds=dice.uniform(*TRAFFIC_S))
                        cuts += 1
    figures.add("machines killed, all came back whole", str(cuts))
    figures.add("  of these in a first boot, seconds after power", ", ".join(moments))


def wait_for_first_write(machine: Machine) -> None:
    """Nothing is written to a new disk before the data partition is made on it."""
    disk = machine.directory / DISK
    empty = disk.stat().st_size
    while disk.stat().st_size == empty:
        machine.check_alive()
        assert machine.now_s < BOOT_S
        time.sleep(0.005)


def cut_boot(machine: Machine, moment_s: float) -> list[str]:
    """The power goes in the middle of a boot, and comes back; the number that was shown by then."""
    while machine.now_s < moment_s:
        machine.check_alive()
        time.sleep(0.02)
    shown = NUMBER.findall(machine.serial.text)
    machine.kill()
    machine.start()
    return shown[:1]


def cut_traffic(station: Booted, peer: Booted, *, seconds: float) -> None:
    """The power goes while both write to each other."""
    eventually(lambda: peer.name in station.others() and station.name in peer.others())
    sends, receives = Talk(station, peer), Talk(peer, station)

    def began() -> bool:
        listen_to(sends, receives, seconds=LOOK_EVERY_S)  # else nobody reads what they say
        return bool(sends.kept)

    eventually(began)
    listen_to(sends, receives, seconds=seconds)
    station.machine.kill()
    receives.command.kill()
    said_to_be_there = delivered(peer, station)
    identity = station.id
    station.machine.start()
    station.settle()
    assert station.id == identity
    there = station.messages(peer.id).keys()
    assert sends.kept.keys() <= there
    assert said_to_be_there <= there
    eventually(lambda: sends.kept.keys() <= delivered(station, peer))
    eventually(lambda: receives.kept.keys() <= station.messages(peer.id).keys())


def test_writes_are_replayed_up_to_many_places(
    image: Path, kind: Kind, figures: Figures, tmp_path: Path
) -> None:
    """From the first boot on, with traffic in both directions."""
    log = tmp_path / "writes"
    with Network() as cable:
        common = Settings(image=image, kind=kind, disk_mb=DISK_MB, networks=(cable,), cpus=CPUS)
        with (
            Machine(replace(common, name="peer")) as other,
            Machine(replace(common, name="recorded", write_log=log)) as machine,
        ):
            machine.output(DATA_IS_MOUNTED, timeout_s=WITHIN_S)
            made_at = position_now(log)
            station, peer = Booted(machine), Booted(other)
            station.settle()
            identity_position = position_now(log)
            peer.settle()
            eventually(lambda: peer.name in station.others() and station.name in peer.others())
            sends, receives = Talk(station, peer, log), Talk(peer, station)
            received: dict[str, int] = {}
            until = time.monotonic() + RECORD_S
            while time.monotonic() < until:
                listen_to(sends, receives, seconds=1.0)
                there, place = delivered(peer, station), position_now(log)
                received = dict.fromkeys(there, place) | received
            start, sectors = map(int, machine.output(WHERE_DATA_IS).split())
            machine.kill()
    assert sends.kept
    assert received
    recording = Recording(
        log=log,
        disk_size=DISK_MB << 20,
        partition=Span(start * 512, sectors * 512),
        made_at=made_at,
        before=image,
    )
    check = StationCheck(
        identity=StationId.parse(station.id),
        identity_position=identity_position,
        written=tuple(Told(at, bytes.fromhex(one)) for one, at in sends.kept.items()),
        received=tuple(Told(at, bytes.fromhex(one)) for one, at in received.items()),
    )
    cuts = choose_cuts(recording, count=PREFIXES, seed=1)
    assert len(cuts) >= MIN_PREFIXES
    verdicts = replay(recording, cuts, check)
    assert all(verdict.failure is None for verdict in verdicts), describe(verdicts)
    figures.add("prefixes of its writes from which it came back whole", str(len(verdicts)))
    figures.add("  messages told to be kept meanwhile", f"{len(sends.kept) + len(received)}")
