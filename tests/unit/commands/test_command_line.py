"""What each command prints, does and ends with."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Sequence
from typing import get_args

import pytest
from fencewire_program import Fencewire
from memory_backend import AWAY, CLINIC, NOW, PUMP, US, MemoryBackend

from appliance.adapters import sessions
from appliance.api import requests
from appliance.api.schema import EVERYONE, Precedence, Problem, WallTime
from appliance.api.server import ApiServer
from appliance.commands import exits, parser
from appliance.commands.change import parse_host
from appliance.commands.output import Failure, clock, duration, number, paragraphs, visible
from appliance.commands.talk import _STATES, ENDS
from appliance.model import message
from appliance.model.call import CallState, EndReason


@pytest.mark.usefixtures("server")
async def test_looking_and_setting(fencewire: Fencewire, backend: MemoryBackend) -> None:
    done = await fencewire("status", "--json")
    assert done.code == exits.OK
    assert done.lines[0]["name"] == "amber-otter"
    assert "fencewire name NAME" in (await fencewire("status")).out
    assert (await fencewire("name", "north", "gate")).out == "north gate\n"
    assert backend.name == "north gate"
    assert "pump house/south? ·k7qd  in reach 2 hops 0.4 ms" in (await fencewire("stations")).out
    done = await fencewire("--json", "stations", "pump house/south")
    assert (done.code, done.lines[0]["id"]) == (exits.OK, PUMP)
    assert (await fencewire("peer", "[fe80::1%eth0]:99")).code == exits.OK
    assert backend.asked[-1] == ("add_peer", "fe80::1%eth0", 99, 10.0)
    await fencewire("sound", "--input", "mic")
    assert "* mic" in (await fencewire("sound", "--output", "speaker")).out
    assert backend.chosen_sound == ("mic", "speaker")
    assert (await fencewire("sound", "--test")).code == exits.OK
    listed = (await fencewire("links")).out
    assert "eth0     up  wire  1 neighbour  loss 2 %  hello 1 s  10.0.0.1/24" in listed
    assert "fe80::1  0.4 ms  loss 2 % there, 0 % back" in listed
    assert "wlan0    up  0 neighbours  not used: It serves guests." in listed
    drawn = (await fencewire("mesh")).out
    assert " [you]──eth0 2%──[clinic]──radio 4%?──[pump]\n" in drawn
    assert " Away: school? ·zzzz\n" in drawn
    done = await fencewire("path", "pump house/south")
    assert done.out.splitlines()[0] == "To pump house/south? ·k7qd: 2 hops, metric 352"
    assert done.out.splitlines()[2].startswith("  2  radio    pump house/south? ·k7qd")
    assert "loss 4 % there, ? % back, 3 ms, as one end says" in done.out
    assert (await fencewire("path", "zzzz")).code == exits.FAILED
    done = await fencewire("doctor")
    assert (done.code, "Set it." in done.out) == (exits.OK, True)


@pytest.mark.usefixtures("server")
async def test_a_failure_has_its_code_and_its_words(fencewire: Fencewire) -> None:
    for name, code in (("nobody", "unknown-station"), ("k7qd", "ambiguous-station")):
        done = await fencewire("call", name, "--json")
        assert (done.code, done.out) == (exits.NO_STATION, "")
        assert json.loads(done.err)["error"]["code"] == code
    done = await fencewire("send", "nobody", "hello")
    assert (done.code, done.err) == (exits.NO_STATION, "No station is 'nobody'. List them.\n")
    for arguments in (["sned"], ["send", "clinic"], ["peer", "a:b"], ["inbox", "--limit", "0"]):
        assert (await fencewire(*arguments)).code == exits.USAGE


async def test_without_a_daemon(fencewire: Fencewire) -> None:
    for arguments in (["status"], ["inbox", "--follow"], ["events", "--follow"], ["call", "x"]):
        done = await fencewire(*arguments)
        assert done.code == exits.NOT_RUNNING
        assert done.err.startswith("No daemon is running at ")
        assert done.err.endswith("Start it with: fencewire run\n")
    done = await fencewire("doctor", "--json")
    assert done.code == exits.NOT_RUNNING
    checks = json.loads(done.out)
    assert [check["name"] for check in checks][:2] == ["daemon", "disk"]
    assert checks[0]["result"] == "bad"


@pytest.mark.usefixtures("server")
async def test_send(fencewire: Fencewire, backend: MemoryBackend) -> None:
    done = await fencewire("send", "clinic", "two", "words", "--precedence", "priority")
    assert (done.code, done.out) == (exits.OK, "Waiting.\n")
    assert backend.asked[-1] == ("send", "clinic", "two words", "console", "priority", None)
    done = await fencewire("send", "clinic", "-", "--wait", "--json", stdin=b"h\xc3\xa9\n\nbye\n")
    assert (done.code, done.lines[0]["state"]) == (exits.OK, "delivered")
    assert backend.kept[-1].text == "h\u00e9\n\nbye"
    done = await fencewire("send", "--wait", EVERYONE, "all of you", "--timeout", "5")
    assert done.out == "Delivered to 1 station.\n"
    assert (
        "you to clinic? ·k7qd PRIORITY: two words\n    Delivered.\n"
        in (await fencewire("inbox")).out
    )
    done = await fencewire("send", "school", "later", "--wait", "--timeout", "0.2", "--json")
    assert (done.code, done.lines[0]["state"]) == (exits.NOT_IN_TIME, "queued")
    done = await fencewire("send", "clinic", "-", stdin=b"x" * 16_001)
    assert done.code == exits.FAILED
    assert "16,001 characters; a message has at most 16,000" in done.err


@pytest.mark.usefixtures("server")
async def test_inbox_shows_all_that_is_unread_and_then_it_is_read(
    fencewire: Fencewire, backend: MemoryBackend
) -> None:
    assert (await fencewire("inbox")).out == "No messages.\n"
    backend.store(CLINIC, "old\x1b[2J\nnews", author=CLINIC)
    for count in range(70):
        backend.store(AWAY, str(count), author=US)
    backend.store(EVERYONE, "fire", author=PUMP, precedence="emergency")
    done = await fencewire("inbox", "--peek", "--limit", "2")
    assert done.code == exits.OK
    lines = done.out.splitlines()
    assert lines[0].endswith("clinic? ·k7qd: old\ufffd[2J")
    assert lines[1] == "    news"
    assert lines[2].endswith("you to school? ·zzzz: 69")
    assert lines[-1].endswith("pump house/south? ·k7qd to everyone EMERGENCY: fire")
    assert backend.status().unread == 2
    done = await fencewire("inbox", "--with", "clinic", "--json")
    assert [line["text"] for line in done.lines] == ["old\x1b[2J\nnews"]
    assert backend.status().unread == 1
    await fencewire("inbox", "--limit", "1")
    assert backend.status().unread == 0


async def test_inbox_follows_over_a_restart(
    fencewire: Fencewire, backend: MemoryBackend, server: ApiServer
) -> None:
    backend.store(CLINIC, "first", author=CLINIC)
    following = await fencewire.start("inbox", "--follow")
    await following.until("first")
    backend.store(CLINIC, "second", author=CLINIC)
    await following.until("second")
    await server.stop()
    again = ApiServer(backend, server.path)
    await again.start()
    backend.store(CLINIC, "third", author=CLINIC)
    await following.until("third")
    following.interrupt()
    done = await following.done()
    await again.stop()
    assert done.code == exits.INTERRUPTED
    assert done.out.count("first") == 1
    assert "The daemon went away." in done.err


@pytest.mark.usefixtures("server")
async def test_a_call_from_ringing_to_its_end(fencewire: Fencewire, backend: MemoryBackend) -> None:
    (fencewire.folder / "hello.wav").write_bytes(b"")
    calling = await fencewire.start(
        "call", "clinic", "--play", "hello.wav", "--record", "they.wav", "--for", "0.2"
    )
    await calling.until("Calling clinic ·k7qd")
    folder = str(fencewire.folder)
    assert backend.asked[-1][-2:] == (f"{folder}/hello.wav", f"{folder}/they.wav")
    backend.push_call("c1", "ringing-there")
    await calling.until("It rings there.")
    backend.push_call("c1", "talking", talking_s=0.0)
    mute = Problem("no-microphone", "There is no microphone.", "Choose another (F8).")
    backend.push_call("c1", "talking", talking_s=0.5, problems=(mute,))
    backend.push_call("c1", "talking", talking_s=1.0, quality="fair", loss_pct=4.0, digits="482917")
    await calling.until("Compare aloud")
    done = await calling.done()
    assert done.code == exits.OK
    assert "NO SOUND: There is no microphone. Choose another.\n" in done.out
    assert "Sound: fair, 4 % lost.\nCompare aloud to be sure who it is: 482 917\n" in done.out
    assert done.out.endswith("You hung up after 0:01.\n")


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize(
    ("reason", "code"),
    [("they-declined", exits.DECLINED), ("no-answer", exits.NOT_ANSWERED), ("busy", 7)],
)
async def test_why_a_call_ended(
    fencewire: Fencewire, backend: MemoryBackend, reason: str, code: int
) -> None:
    calling = await fencewire.start("call", "clinic", "--json")
    await calling.until('"dialling"')
    backend.push_call("c1", "ended", reason)
    done = await calling.done()
    assert (done.code, done.lines[-1]["end_reason"]) == (code, reason)


@pytest.mark.usefixtures("server")
async def test_ctrl_c_hangs_up(fencewire: Fencewire, backend: MemoryBackend) -> None:
    calling = await fencewire.start("call", "clinic")
    await calling.until("Calling")
    calling.interrupt()
    assert (await calling.done()).code == exits.NOT_ANSWERED
    assert backend.call_list["c1"].end_reason == "hung-up"
    assert (await fencewire("hangup")).code == exits.FAILED


async def test_the_daemon_dies_in_a_call(
    fencewire: Fencewire, server: ApiServer, backend: MemoryBackend
) -> None:
    calling = await fencewire.start("call", "clinic")
    await calling.until("Calling")
    await server.stop()
    done = await calling.done()
    assert (done.code, backend.call_list["c1"].state) == (exits.NOT_RUNNING, "dialling")


@pytest.mark.usefixtures("server")
async def test_answer(fencewire: Fencewire, backend: MemoryBackend) -> None:
    done = await fencewire("answer")
    assert (done.code, "answer --wait 60" in done.err) == (exits.FAILED, True)
    assert (await fencewire("answer", "--wait", "0.2")).code == exits.NOT_IN_TIME
    waiting = await fencewire.start("answer", "--wait", "20", "--for", "0.1")
    status = await fencewire("status")  # by then it waits, or finds the call already ringing
    assert status.code == exits.OK
    backend.new_call(CLINIC, outgoing=False)
    done = await waiting.done()
    assert (done.code, "clinic ·k7qd is calling." in done.out) == (exits.OK, True)
    backend.new_call(CLINIC, outgoing=False)
    done = await fencewire("hangup", "--json")
    assert done.lines[0]["end_reason"] == "declined"


@pytest.mark.usefixtures("server")
async def test_verify(fencewire: Fencewire, backend: MemoryBackend) -> None:
    done = await fencewire("verify", "clinic")
    assert (done.code, "no terminal" in done.err) == (exits.USAGE, True)
    assert (await fencewire("verify", "clinic", "--show")).out == "482 917\n"
    done = await fencewire("verify", "clinic", "--yes-it-matches", "482 917", "--json")
    assert (done.code, done.lines[0]["state"]) == (exits.OK, "verified")
    assert len(backend.compared) == 1  # the comparison that was open was used
    done = await fencewire("verify", "clinic", "--yes-it-matches", "000000")
    assert (done.code, backend.compared["v2"].state) == (exits.NO_MATCH, "mismatch")
    assert (await fencewire("verify", "clinic", "--id", CLINIC)).code == exits.OK
    assert (await fencewire("verify", "clinic", "--id", PUMP)).code == exits.NO_MATCH


@pytest.mark.usefixtures("server")
async def test_events(fencewire: Fencewire, backend: MemoryBackend) -> None:
    following = await fencewire.start("events")
    await following.until('"reset"')
    backend.store(CLINIC, "caf\u00e9", author=CLINIC)
    await following.until('caf\\u00e9"')
    following.interrupt()
    assert (await following.done()).code == exits.INTERRUPTED


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
async def test_completion(fencewire: Fencewire, shell: str) -> None:
    done = await fencewire("completion", shell)
    assert done.code == exits.OK
    for word in ("hangup", "precedence", "village"):
        assert word in done.out
    if shell == "bash":
        process = await asyncio.create_subprocess_exec(
            "bash", "-n", stdin=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        _, complaint = await process.communicate(done.out.encode())
        assert complaint == b""


def test_help_and_mistakes_import_nothing_slow() -> None:
    program = (
        "import sys; from appliance.commands import parser; parser.build(); print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert not {"asyncio", "aiohttp", "h11", "cryptography"} & set(done.stdout.split())


def test_words_that_are_said_twice_agree() -> None:
    """Commands do not import the modules behind these, which would make them slow to start."""
    assert set(exits.CALL_ENDS) == set(ENDS) == {reason.value for reason in EndReason}
    assert {*_STATES, "ended"} == {state.value for state in CallState}
    assert parser.DEFAULT_PORT == sessions.DEFAULT_PORT
    assert requests.MAX_TEXT_CHARS == message.MAX_TEXT_CHARS
    for precedence in get_args(Precedence):
        assert parser.build().parse_args(["send", "a", "b", "--precedence", precedence])


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("clinic.local", "clinic.local", None),
        ("10.0.0.1:99", "10.0.0.1", 99),
        ("fe80::1%eth0", "fe80::1%eth0", None),
        ("[fe80::1%eth0]", "fe80::1%eth0", None),
        ("[::1]:18950", "::1", 18950),
    ],
)
def test_hosts(text: str, host: str, port: int | None) -> None:
    assert parse_host(text) == (host, port)


@pytest.mark.parametrize(
    "text", ["", ":", "a:", "a:0", "a:65536", "[::1", "[::1]x", "[]:1", "a:\u0663"]
)
def test_no_hosts(text: str) -> None:
    with pytest.raises(Failure):
        parse_host(text)


def test_what_others_wrote_can_not_move_the_cursor() -> None:
    assert (
        visible("caf\u00e9 \U0001f600 \u0646\u200c\u0647")
        == "caf\u00e9 \U0001f600 \u0646\u200c\u0647"
    )
    assert visible("a\x1b[2J\x9b\u202eb\tc\u2028\x7f") == "a\ufffd[2J\ufffd\ufffdb    c\ufffd\ufffd"
    assert paragraphs("one\r\ntwo\x0bthree", indent="  ") == "one\n  two\n  three"
    assert paragraphs("", indent="  ") == ""


def test_times_and_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    assert clock(NOW) == "2023-11-14 22:13"
    assert clock(WallTime(-(10**17), sure=False)).startswith("~")
    assert (number("4820193"), duration(134), duration(3734)) == ("482-0193", "2:14", "1:02:14")


def test_an_index_of_commands() -> None:
    help_text = parser.build().format_help()
    expected: Sequence[str] = (
        "status stations send inbox call answer hangup verify name peer".split()
    )
    assert all(word in help_text for word in expected)
