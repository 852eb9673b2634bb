"""Messages as files: nothing missing, nothing twice, and nothing of others' words acted upon."""

from __future__ import annotations

import csv
import io
import json
import stat
import time
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from fencewire_program import Fencewire
from memory_backend import AWAY, CLINIC, NOW, PUMP, US, MemoryBackend

from appliance.api.attachments import Attachment
from appliance.api.client import Client
from appliance.api.jsonable import to_json
from appliance.api.requests import MAX_PAGE
from appliance.api.schema import EVERYONE, Message, Recipient, WallTime
from appliance.api.server import ApiServer
from appliance.commands import exits
from appliance.commands.export_file import whole_file
from appliance.commands.export_pages import each, survey
from appliance.commands.export_period import Chosen, parse_time, shown_time
from appliance.commands.ics309 import CsvLog, HtmlLog, Names, Writer, cell, heading
from appliance.commands.output import Failure

ALL = Chosen(None, None, None)
HOSTILE = (
    "=1+1",
    "a\n=cmd|' /C calc'!A0",
    'x;=HYPERLINK("http://evil","a")',
    "\t@SUM(A1)",
    '</td><script>alert(1)</script>"',
    "\u202egnp.exe\x1b[2J\x00",
    "\r\n[routine, delivered] no\u2028-1",
)


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


async def _exported(server: ApiServer, chosen: Chosen = ALL) -> list[Message]:
    async with Client(server.path) as client:
        found = await survey(client, chosen)
        return [message async for message in each(client, chosen, found)]


def _fill(backend: MemoryBackend, orders: list[int]) -> None:
    for order in orders:
        backend.store(EVERYONE, str(order), author=CLINIC)
        backend.kept[-1] = replace(backend.kept[-1], order=order)


@pytest.mark.usefixtures("server")
async def test_json_lines_say_all_that_the_api_says(
    fencewire: Fencewire, backend: MemoryBackend
) -> None:
    for text in HOSTILE:
        backend.store(CLINIC, text, author=US)
    got = Recipient(CLINIC, "read", WallTime(1_700_000_001_000, sure=False))
    backend.kept[0] = replace(backend.kept[0], recipients=(got,), state="read")
    backend.store(AWAY, "to another", author=US)
    done = await fencewire("export", "--conversation", "clinic")
    assert (done.code, done.err) == (exits.OK, "")
    assert done.lines == [to_json(message) for message in backend.kept[:-1]]
    assert done.lines[0]["recipients"] == [to_json(got)]
    assert done.out.isascii()
    assert done.out.count("\n") == len(HOSTILE)


@pytest.mark.usefixtures("server")
async def test_to_a_file_that_is_whole_and_ours_alone(
    fencewire: Fencewire, backend: MemoryBackend
) -> None:
    backend.store(EVERYONE, "caf\u00e9", author=PUMP)
    log = ("export", "--format", "ics309", "--output", "log.csv")
    done = await fencewire(*log, "--json")
    assert (done.code, done.lines) == (
        exits.OK,
        [{"file": "log.csv", "messages": 1, "unsure_left_out": 0}],
    )
    file = fencewire.folder / "log.csv"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    before = file.read_bytes()
    assert "caf\u00e9".encode() in before
    backend.store(EVERYONE, "more", author=PUMP)
    done = await fencewire(*log)
    assert (done.code, "--force" in done.err, file.read_bytes()) == (exits.FAILED, True, before)
    assert (await fencewire(*log, "--force")).out == "2 messages in log.csv.\n"
    assert file.read_bytes() != before
    assert {path.name for path in fencewire.folder.iterdir()} == {
        "api.sock",
        "api.sock.lock",
        "log.csv",
    }


def test_of_a_file_that_fails_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(TypeError), whole_file(tmp_path / "a", force=False) as file:
        file.write("no bytes")  # type: ignore[call-overload]
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(Failure), whole_file(tmp_path / "a", force=False):
        (tmp_path / "a").write_text("somebody was faster")
    assert (tmp_path / "a").read_text() == "somebody was faster"
    assert len(list(tmp_path.iterdir())) == 1
    with pytest.raises(Failure), whole_file(tmp_path / "none" / "a", force=True):
        pass


async def test_every_message_comes_once_and_in_order(
    server: ApiServer, backend: MemoryBackend
) -> None:
    assert await _exported(server) == []
    # Pages end among messages that have one place in the order.
    orders = [*range(1, 100), *[100] * 180, *range(101, 250), *[250] * 90, 2**40, *[2**41] * 199]
    _fill(backend, orders)
    assert [one.id for one in await _exported(server)] == [one.id for one in backend.kept]


async def test_a_message_that_comes_in_between_is_there_too(
    server: ApiServer, backend: MemoryBackend
) -> None:
    _fill(backend, list(range(0, 1200, 3)))
    async with Client(server.path) as client:
        found = await survey(client, ALL)
        _fill(backend, [*range(1, 1200, 3), *range(2, 1190, 3)])
        backend.kept.sort(key=lambda one: (one.order, one.id))
        got = [message.order async for message in each(client, ALL, found)]
    assert got == [one.order for one in backend.kept if one.order < 1198]


async def test_more_of_one_order_than_a_page_holds_are_all_there(
    server: ApiServer, backend: MemoryBackend
) -> None:
    _fill(backend, [1, 2, *[3] * (2 * MAX_PAGE + 50), 4])
    backend.kept.sort(key=lambda one: (one.order, one.id))
    assert [one.id for one in await _exported(server)] == [one.id for one in backend.kept]


async def test_a_period_and_what_is_not_sure(server: ApiServer, backend: MemoryBackend) -> None:
    _fill(backend, [1, 2, 3, 4])
    for index, (hours, sure) in enumerate([(-3, True), (-1, True), (-50, False), (0, False)]):
        at = WallTime(NOW.ms + hours * 3_600_000, sure=sure)
        backend.kept[index] = replace(backend.kept[index], received_at=at)
    chosen = Chosen(None, parse_time("2h", NOW), None)
    assert [one.order for one in await _exported(server, chosen)] == [2, 4]
    async with Client(server.path) as client:
        found = await survey(client, chosen)
    assert (found.unsure_left_out, found.first, found.last) == (
        1,
        backend.kept[1].received_at,
        backend.kept[3].received_at,
    )


def _log(kind: type[CsvLog | HtmlLog], backend: MemoryBackend) -> str:
    above = heading(backend.status(), period=(NOW, None), operator="=cmd()", incident="<b>Flood")
    writer: Writer = kind(above, Names(backend.status(), backend.stations()))
    texts = [writer.message(message) for message in backend.kept]
    return "".join([writer.begin(), *texts, writer.end(len(texts))])


def test_the_log_as_csv(backend: MemoryBackend) -> None:
    backend.all[CLINIC] = replace(backend.all[CLINIC], name="=cli,nic", trust="verified")
    for text in HOSTILE:
        backend.store(CLINIC, text, author=CLINIC)
    backend.store(EVERYONE, "Fire", author=US, precedence="emergency")
    unsure = replace(NOW, sure=False)
    backend.kept[-1] = replace(backend.kept[-1], received_at=unsure, line="fax")
    log = _log(CsvLog, backend)
    assert log[0] == "\ufeff"
    rows = list(csv.reader(io.StringIO(log[1:], newline="")))
    assert rows[0] == ["Communications Log (ICS 309)"]
    assert rows[2] == ["2. Operational period", "2023-11-14 22:13 to  (UTC+00:00)"]
    assert rows[4] == ["4. Operator", "'=cmd()"]
    assert rows[8] == ["Time", "From", "To", "Msg", "Subject/Message"]
    assert len(rows) == 9 + len(HOSTILE) + 1 + 1
    assert rows[9] == [
        "2023-11-14 22:13",
        "'=cli,nic",
        "amber-otter ·0000",
        backend.kept[0].id[:8],
        "[routine, received] =1+1",
    ]
    assert rows[10][4] == "[routine, received] a / =cmd|' /C calc'!A0"
    assert rows[11][4] == '[routine, received] x;\'=HYPERLINK("http://evil","a")'
    assert rows[-2][:1] == ["~2023-11-14 22:13"]
    assert [rows[-2][2], rows[-2][4]] == ["everyone", "[emergency, delivered: 1] Fire"]
    assert rows[-1] == ["End of log: 8 messages."]
    # A spreadsheet set to semicolons parts the rows elsewhere: no formula there either.
    for row in csv.reader(io.StringIO(log), delimiter=";"):
        assert not any(value.lstrip(' "').startswith(tuple("=+-@")) for value in row)


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("plain; text", "plain; text"),
        ("-1", "'-1"),
        ("  +1", "'  +1"),
        ("\uff1d1", "'\uff1d1"),
        ('a;"=1', "a;'\"=1"),
        ("a;;@x", "a;;'@x"),
        ("a\x00\u202eb", "a\ufffd\ufffdb"),
        ("", ""),
    ],
)
def test_cells(text: str, safe: str) -> None:
    assert cell(text) == safe


class _Seen(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.text = ""
        self.links: list[str | None] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [value for name, value in attrs if name in ("src", "href", "style")]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_log_as_a_page(backend: MemoryBackend) -> None:
    for text in HOSTILE:
        backend.store(CLINIC, text, author=CLINIC)
    page = _log(HtmlLog, backend)
    seen = _Seen()
    seen.feed(page)
    assert not seen.tags & {"script", "b", "img", "a", "link"}
    assert seen.links == []
    assert "</td><script>alert(1)</script>" in seen.text
    assert "<b>Flood" in seen.text
    assert "clinic? ·k7qd" in seen.text
    assert not {"\u202e", "\x1b", "\x00", "\u2028"} & set(page)
    assert page.count("<tr><td class=time>2023-11-14<br>22:13</td>") == len(HOSTILE)
    assert "<div dir=auto>a</div><div dir=auto>=cmd" in page


def test_what_a_page_makes_of_long_texts_groups_and_files(backend: MemoryBackend) -> None:
    group = f"g{'7' * 56}"
    for text in ("x" * 601, "a\n\n \n\n\nb", "\u0645\u0631\u062d\u0628\u0627", "joined"):
        backend.store(CLINIC, text, author=CLINIC)
    file = Attachment(0, "</td>.png", 1234, "image/png", "", 0, "here", 1234, None)
    backend.kept[0] = replace(backend.kept[0], attachments=(file,), conversation=group)
    backend.kept[3] = replace(backend.kept[3], conversation=group, notice=True)
    page = _log(HtmlLog, backend)
    assert page.count("<tr class=long>") == 1
    assert "<div dir=auto>a</div><div dir=auto><br></div><div dir=auto>b</div>" in page
    assert "<div dir=auto>\u0645\u0631\u062d\u0628\u0627</div>" in page
    assert "[file: &lt;/td&gt;.png, 1,234 bytes]" in page
    assert page.count("group ·7777") == 2
    assert "[notice]" in page
    rows = list(csv.reader(io.StringIO(_log(CsvLog, backend))))
    assert rows[9][4].endswith(" / [file: </td>.png, 1,234 bytes]")
    names = Names(backend.status(), (), {group: "Shelter ·7777"})
    assert names.recipient(backend.kept[3]) == "Shelter ·7777"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("2h", "2023-11-14 20:13"),
        ("3d", "2023-11-11 22:13"),
        ("14:05", "2023-11-14 14:05"),
        ("2023-02-01", "2023-02-01 00:00"),
        ("2023-02-01T04:05", "2023-02-01 04:05"),
        ("2023-02-01 04:05", "2023-02-01 04:05"),
    ],
)
def test_times(text: str, shown: str) -> None:
    assert shown_time(WallTime(parse_time(text, NOW), sure=True)) == shown


@pytest.mark.parametrize("text", ["", "h", "-1h", "25:00", "2023-13-01", "9999999h", "\u0663h"])
def test_no_times(text: str) -> None:
    with pytest.raises(Failure) as caught:
        parse_time(text, NOW)
    assert caught.value.code == exits.USAGE


def test_a_time_far_off_is_said_to_be_unknown() -> None:
    assert shown_time(WallTime(10**30, sure=True)) == "~ at some time"
    assert json.dumps(shown_time(WallTime(0, sure=False))) == '"~1970-01-01 00:00"'
