"""Situations to look at: for the pictures, and for the characters that they are made of."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any

from fake_client import DISK_FULL, FakeClient
from fake_groups import a_group
from fake_history import as_daemon
from fake_talk import a_channel
from screen import Screen
from shapes import at, call, edge, message, station

from appliance.api.attachments import Attachment
from appliance.api.schema import EVERYONE, Link, MeshStatus, Recipient, Verification
from appliance.api.storage import Removed
from appliance.tui.letters import Enclosure

CLINIC = station("clinic", "c111", trust="verified", number="5550123")
GATE = station("north-gate", "k7qd", unread=1)
PUMP = station("pump-house", "p333", trust="known", reach="connecting", since_s=2.0)
SCHOOL = station("school", "s222", reach="away", trust="verified")
MILL = station("far-mill", "m444", reach="away", since_s=None, last_seen=None)
FIVE = (CLINIC, GATE, PUMP, SCHOOL, MILL)
MANY = tuple(
    station(f"post-{n:03}", f"{n:04x}", reach="here" if n % 3 else "away") for n in range(500)
)
FOREIGN = (
    station("x", "x111"),
    station("a-name-of-forty-characters-which-is-long", "l222", unread=12),
    station("診療所北門診療所北門診療所北門診療所", "j333", trust="verified"),
    station("بوابة الشمال", "r444"),
    station("e\u0301cole\u200d\U0001f3eb", "f555"),
)

Act = Callable[[Screen], Coroutine[Any, Any, None]]


async def _nothing(screen: Screen) -> None:
    """Look at it as it starts."""


def _keys(*keys: str) -> Act:
    async def act(screen: Screen) -> None:
        await screen.press(*keys)

    return act


@dataclass(frozen=True)
class Scene:
    """One situation."""

    client: Callable[[], FakeClient]
    """Makes the station."""

    sees: str
    """Words that show when it is all there."""

    act: Act = _nothing
    """What happens before one looks."""

    size: tuple[int, int] = (80, 24)
    """Columns and rows."""

    foreign: bool = False
    """Holds characters that others chose, which no console font need have."""


def talking() -> FakeClient:
    """Return a station with a conversation as in the design."""
    client = FakeClient(*FIVE, unread=2)
    client.stored = [
        message(GATE, "The road to the school is open.", 1),
        message(GATE, "Copy. Sending two people.", 2, outgoing=True, state="read"),
        message(
            GATE,
            "How many blankets do you have?",
            3,
            written_at=at(-5, sure=False),
            precedence="priority",
        ),
        message(
            GATE,
            "About 40. Truck leaves 14:30.",
            4,
            outgoing=True,
            state="relayed",
            carried_by=3,
            problem="north-gate is away",
        ),
        message(GATE, "Too late.", 5, outgoing=True, state="expired", written_at=at(-9_000)),
        message(None, "To all.", 6, outgoing=True, delivered_to=3, conversation=EVERYONE),
    ]
    client.all_calls = {
        "old": call(GATE, "ended", id="old", end_reason="no-answer", started_at=at(-56.5))
    }
    return client


def _five() -> FakeClient:
    return FakeClient(*FIVE)


def _many() -> FakeClient:
    client = FakeClient(*MANY)
    client.stored = [message(MANY[1], f"Report {n}: all well here.", n) for n in range(1, 80)]
    return client


def _foreign() -> FakeClient:
    client = FakeClient(*FOREIGN)
    client.stored = [message(FOREIGN[0], "word " * 800, 1), message(FOREIGN[0], "漢字" * 40, 2)]
    return client


def _in_trouble() -> FakeClient:
    return FakeClient(*FIVE, problems=(DISK_FULL, DISK_FULL))


def _meshed() -> FakeClient:
    """Return a station in a mesh as in the design."""
    gate = replace(GATE, link="wlan1", unread=0)
    pump = replace(PUMP, reach="reachable", hops=2, rtt_ms=None)
    mill = station("mill", "m111", trust="verified", reach="reachable", hops=2, link="wlan1")
    client = FakeClient(CLINIC, gate, pump, mill, SCHOOL, mesh=MeshStatus(True, True, 4, 2))
    client.edges = (
        edge(CLINIC, pump, loss_ab_pct=4),
        edge(gate, mill, kind="tunnel", seen_by="one"),
    )
    client.interfaces = (
        replace(client.interfaces[0], kind="ethernet", used=True, hello_s=1.0, mtu=1280),
        replace(client.interfaces[1], up=True, used=True, kind="radio", radio="mesh, channel 6"),
        Link("eth1", True, (), (), used=False, why_not="The SSH session came over it."),
    )
    return client


def with_files() -> FakeClient:
    """Return a station with files, a group, an emergency and what had to make room."""
    client = talking()
    client.stored[0] = replace(
        client.stored[0],
        attachments=(
            Attachment(0, "ford.jpg", 2_100_000, "image/jpeg", "", 0, "fetching", 900_000, None),
            Attachment(1, "v.ogg", 40_000, "audio/ogg", "", 12_300, "here", 40_000, None),
        ),
    )
    client.removed = (Removed(GATE.id, "north-gate", 37, 0, at(-600, sure=False)),)
    medics = a_group("Medics", CLINIC.id, GATE.id)
    client.all_groups[medics.id] = medics
    client.how_far = [
        Recipient(CLINIC.id, "read", at(-2)),
        Recipient(GATE.id, "delivered", at(-3, sure=False)),
        Recipient(SCHOOL.id, "queued", None),
    ]
    client.carriers = (CLINIC.id,)
    return client


async def _letter(screen: Screen) -> None:
    await screen.press("down", "down", "down", "tab", "f7", "2", "3")
    screen.app.writer.enclose(Enclosure("u1", "list of names.pdf", 120_000))
    await screen.type("The list")
    await screen.press("f7")


async def _emergency(screen: Screen) -> None:
    screen.client.arrive(message(GATE, "The dam breaks!", 90, unread=True, precedence="emergency"))
    await screen.sees("1 unread")  # counts come a little later


async def _find(screen: Screen) -> None:
    await screen.press("f6")
    await screen.type("the")


async def _ring(screen: Screen) -> None:
    screen.client.ring(GATE)


async def _call(screen: Screen) -> None:
    client = screen.client
    client.ring(GATE)
    await screen.sees("IS CALLING")
    await screen.press("enter")
    await screen.sees("0:00")
    client.change_call(
        replace(
            client.all_calls["c1"],
            talking_s=134.0,
            quality="good",
            digits="482917",
            verification="v1",
            problems=(DISK_FULL,),
        )
    )


async def _on_air(screen: Screen) -> None:
    client = screen.client
    (medics,) = client.all_groups
    talks = {"speaker": CLINIC.id, "speaker_name": "clinic", "talking_s": 12.0, "level_db": -18.0}
    client.on_air(a_channel(medics, "Medics", **talks))
    await screen.press("f3")


def _called() -> FakeClient:
    client = _five()
    ended: dict[str, Any] = {"end_reason": "they-hung-up", "talking_s": 75.0, "quality": "good"}
    client.past = [
        as_daemon(call(GATE, "ended", id="r4", number=4, end_reason="no-answer")),
        call(CLINIC, "ended", id="r3", number=3, started_at=at(-9, sure=False), **ended),
        call(CLINIC, "ended", id="r2", number=2, outgoing=True, end_reason="busy"),
        call(GATE, "ended", id="r1", number=1, outgoing=True, **ended | {"quality": "bad"}),
    ]
    client.own = replace(client.own, missed_calls=1)
    return client


async def _alarm(screen: Screen) -> None:
    text = "A station calls itself clinic, but its key is not the one that you verified as clinic."
    screen.client.meet(station("clinic", "eeee", alarm=text))


async def _verify(screen: Screen) -> None:
    screen.client.comparisons = [Verification("v0", GATE.id, False, "abandoned", None, "")]
    screen.client.tell("verification", screen.client.comparisons[0])
    await screen.press("down", "down", "f9")


async def _die(screen: Screen) -> None:
    screen.client.die()


SCENES = {
    "nobody": Scene(FakeClient, "Looking for others"),
    "talking": Scene(talking, "EXPIRED", _keys("down", "down")),
    "messages": Scene(with_files, "37 older", _keys("down", "down", "down", "enter", "up")),
    "message": Scene(with_files, "1 waiting", _keys("enter", "enter")),
    "letter": Scene(with_files, "Take off", _letter),
    "emergency": Scene(with_files, "EMERGENCY from", _emergency),
    "find": Scene(with_files, "All messages searched", _find),
    "group": Scene(with_files, "You may change it", _keys("down", "f2")),
    "five_100": Scene(talking, "EXPIRED", _keys("down", "down"), (100, 30)),
    "many": Scene(_many, "Report 79", _keys("down")),
    "many_200": Scene(_many, "Report 79", _keys("down"), (200, 60)),
    "foreign": Scene(_foreign, "12", _keys("escape", "4"), foreign=True),
    "foreign_text": Scene(_foreign, "word", _keys("down", "down"), foreign=True),
    "menu": Scene(_five, "What do you want to do?", _keys("down", "escape")),
    "more": Scene(_five, "Leave the screen", _keys("escape", "9")),
    "help": Scene(_five, "Did it arrive?", _keys("f1")),
    "network": Scene(_meshed, "metric 192", _keys(*["down"] * 4, "f4")),
    "network_many": Scene(_many, "[post-001?·0001]", _keys("f4", "pagedown")),
    "sound": Scene(_five, "The microphone hears you", _keys("f8", "enter")),
    "verify": Scene(_five, "Not now", _verify),
    "ringing": Scene(_five, "IS CALLING", _ring),
    "call": Scene(talking, "2:14", _call),
    "on_air": Scene(with_files, "YOU TALK", _on_air),
    "calls": Scene(_called, "they hung up", _keys("f12")),
    "alarm": Scene(_five, "ALARM: A station", _alarm),
    "trouble": Scene(_in_trouble, "The disk is full"),
    "lost": Scene(_five, "NOT CONNECTED", _die),
    "tiny": Scene(talking, "Everyone", size=(40, 10)),
}
