"""How fast a call is set up, how long sound takes, and how steadily frames leave."""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path

from _conference import SIZES, mixing_cpu_pct
from _listening import listening_us
from _relay import relay_cpu
from _stations import children, clients, cpu_s, listed, others, pids, village, wait_event
from _streams import STREAMS as RELAYED
from _talkgroup import talk_group
from _tone import tone_file
from _voice import STREAMS, measure, mouth_to_ear
from harness import Report, arguments

from appliance.api.client import Client

VILLAGES = 2
CALLS = 6
"""In each; a station lets one other ring 8 times in a row."""

CPU_S = 10.0
TONE_S = 30.0
LATENESS_S = 60.0
LINE = "line:5"
PARTS = ("calls", "hops", "relay", "sound", "listening", "talk", "conference")


async def state(client: Client, cursor: str | None, *wanted: str) -> tuple[float, str]:
    """When a call came into one of these states, and its id."""
    event = await wait_event(
        client, cursor, lambda e: e.type == "call" and e.data["state"] in wanted
    )
    return time.perf_counter(), str(event.data["id"])


async def one_call(a: Client, b: Client, peer: str, directory: Path, talk_s: float) -> list[float]:
    """Call, answer, talk; milliseconds to ringing and from answer to sound at the caller."""
    tone = tone_file(directory / "tone.wav", TONE_S)
    ringing = asyncio.create_task(state(a, None, "ringing-there"))
    incoming = asyncio.create_task(state(b, None, "ringing-here"))
    talking = asyncio.create_task(state(a, None, "talking"))
    ended = asyncio.create_task(state(b, None, "ended"))
    await asyncio.sleep(0.2)  # the event streams stand
    dialled = time.perf_counter()
    await a.call(peer, play=tone, record=str(directory / "a.wav"))
    rang, _ = await ringing
    _, call = await incoming
    answered = time.perf_counter()
    await b.answer(call, play=tone, record=str(directory / "b.wav"))
    heard, _ = await talking
    await asyncio.sleep(talk_s)
    await b.hang_up(call)
    await ended
    return [(rang - dialled) * 1000, (heard - answered) * 1000]


async def calls(report: Report) -> None:
    took: list[list[float]] = []
    cpu: list[float] = []
    for _ in range(VILLAGES):
        with tempfile.TemporaryDirectory() as scratch:
            async with village("pair") as up, clients(up, "a", "b") as (a, b):
                await others(b)
                (peer,) = await others(a)
                took += [await one_call(a, b, peer.id, Path(scratch), 0.2) for _ in range(CALLS)]
                daemon = pids(up)["a"]
                both = [daemon, *children(daemon)]
                before, began = sum(map(cpu_s, both)), time.perf_counter()
                await one_call(a, b, peer.id, Path(scratch), CPU_S)
                used = sum(map(cpu_s, both)) - before
                cpu.append(used / (time.perf_counter() - began) * 100)
    report.add("ringing_ms", [ring for ring, _ in took], goal=60.0, what="call command to ringing")
    report.add(
        "first_audio_1hop_ms",
        [heard for _, heard in took],
        goal=120.0,
        what="answer command to sound at the caller",
    )
    report.add("cpu_per_call_pct", cpu, goal=4.0, what="daemon and voice process of one side")


async def over_four_hops(report: Report) -> None:
    """Calls along a line of five, once a session stands: what the first one costs is no sound."""
    with tempfile.TemporaryDirectory() as scratch:
        async with village(LINE, net=True) as up, clients(up, "a", "e") as (a, e):
            await asyncio.gather(listed(a, 4), listed(e, 4))
            peer = (await e.status()).id
            await one_call(a, e, peer, Path(scratch), 0.2)
            took = [await one_call(a, e, peer, Path(scratch), 0.2) for _ in range(CALLS)]
            hops = (await a.station(peer)).hops
    if hops != 4:
        raise RuntimeError(f"the way had {hops} hops")
    report.add("ringing_4hop_ms", [ring for ring, _ in took], what="call command to ringing")
    report.add(
        "first_audio_4hop_ms",
        [heard for _, heard in took],
        goal=200.0,
        what="answer command to sound at the caller",
    )


async def through_a_relay(report: Report) -> None:
    idle, busy = await relay_cpu()
    report.add(
        "relay_user_cpu_pct_20_calls",
        max(0.0, busy - idle),
        goal=0.5,
        what=f"programs of a station that {RELAYED} calls go through, {busy:.1f} less {idle:.1f}",
    )


def sound(report: Report, lateness_s: float) -> None:
    report.add("mouth_to_ear_ms", mouth_to_ear(), goal=60.0, what="clicks, file to file")
    idle, frames = measure(streams=STREAMS, seconds=lateness_s, command=None)
    with tempfile.TemporaryDirectory() as directory:
        storer = str(Path(__file__).with_name("_storer.py"))
        command = [sys.executable, storer, str(Path(directory, "station.db"))]
        busy, busy_frames = measure(streams=STREAMS, seconds=lateness_s, command=command)
    report.add("frame_late_idle_p999_ms", idle, what=f"{frames} frames of {STREAMS} streams")
    report.add(
        "frame_late_busy_p999_ms",
        busy,
        goal=idle + 2.0,
        what=f"{busy_frames} frames beside a store at full speed",
    )


def listening(report: Report) -> None:
    clean, bad = listening_us()
    what = "CPU of the receiving half for each 20 ms"
    report.add("listening_clean_us", clean, what=what)
    report.add("listening_bad_us", bad, what=f"{what}, 80 ms of jitter and 5 % lost")


def push_to_talk(report: Report) -> None:
    found = asyncio.run(talk_group())
    report.add(
        "talkgroup_key_to_sound_ms",
        found.farthest_ms,
        goal=300.0,
        what=f"key to sound at the last of {found.stations} stations on a grid",
    )
    report.add(
        "talkgroup_key_to_voice_ms", found.speaker_ms, what="of that, to the first sound taken"
    )
    report.add(
        "talkgroup_bytes_ratio",
        found.bytes_ratio,
        goal=1.1,
        what="most that a link carries when all listen, against one listener's",
    )


def conference(report: Report) -> None:
    for people in SIZES:
        report.add(
            f"conference_{people}_cpu_pct",
            asyncio.run(mixing_cpu_pct(people)),
            what=f"voice process that mixes {people} people, of whom at most 4 talk",
        )


def main(argv: list[str]) -> int:
    parser = arguments(__doc__)
    parser.add_argument("--seconds", type=float, default=LATENESS_S, help="of each lateness run")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; else all")
    parts = (args := parser.parse_args(argv)).parts or PARTS
    if unknown := set(parts) - set(PARTS):
        parser.error(f"there is no part {unknown.pop()}")
    report = Report("call")
    if "calls" in parts:
        asyncio.run(calls(report))
    if "hops" in parts:
        asyncio.run(over_four_hops(report))
    if "relay" in parts:
        asyncio.run(through_a_relay(report))
    if "sound" in parts:
        sound(report, args.seconds)
    if "listening" in parts:
        listening(report)
    if "talk" in parts:
        push_to_talk(report)
    if "conference" in parts:
        conference(report)
    return report.finish(json=args.json)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
