"""What others see of two boards with one key: over a line of stations, and from liars."""

from __future__ import annotations

import itertools

from core_node import Node
from test_gossip import carry_between, sight

from appliance.model.card import Prekey, read_card
from appliance.model.identity import StationKey
from appliance.model.record import Certainty, Record, RecordKind, Stamp, make_record, read_record
from appliance.node.copies import ASK_EVERY_S, ASKS, COPIED, COPIED_KEY, SILENT_S
from appliance.node.doubled import COPIED_OTHERS, HOLD_S, MAX_DOUBLED, TELL_EVERY_S
from appliance.node.effects import AlarmOver, AlarmRaised, Transact
from appliance.node.own_card import OwnCard
from appliance.node.ports import SetValue
from appliance.node.usage import SessionInfo
from appliance.protocol.frames import Channel

PREKEY = Prekey(b"prekeyid", b"p" * 32)


class Mesh:
    """Stations in a line, of which the outer two have one key."""

    def __init__(self, between: int, *, linked: bool = True) -> None:
        one = Node()
        copy = Node(one.key, prekey_id=one.prekey_id, prekey_secret=one.prekey_secret)
        self.nodes = [one, *(Node() for _ in range(between)), copy]
        self.others = self.nodes[1:-1]
        self.handle = 0
        self.sent = 0
        for here, there in itertools.pairwise(self.nodes) if linked else ():
            self.link(here, there)

    def link(self, here: Node, there: Node) -> None:
        self.handle += 1
        sight(here, there)
        here.open(there.id, handle=self.handle)
        there.open(here.id, handle=self.handle)

    def settle(self, *apart: int) -> None:
        """Carry all that is said, but over the cables that are named by their left end."""
        pairs = [pair for n, pair in enumerate(itertools.pairwise(self.nodes)) if n not in apart]
        for _ in range(60):
            for here, there in (*pairs, *((b, a) for a, b in pairs)):
                self.sent += sum(one.channel is Channel.CARD for one in here.sent)
                carry_between(here, there)

    def wait(self, seconds: float) -> None:
        for node in self.nodes:
            node.at += seconds
            station, now = node.station, node.now
            node.do(station.wakeup(now))
            node.settle()
        self.settle()


def alarms(node: Node, code: str) -> list[AlarmRaised]:
    return [e for e in node.changes if isinstance(e, AlarmRaised) and e.code == code]


def test_two_boards_at_the_ends_of_a_line_are_an_alarm_on_every_station() -> None:
    mesh = Mesh(between=3)
    mesh.settle()
    one, copy = mesh.nodes[0], mesh.nodes[-1]
    for board in (one, copy):
        assert len(alarms(board, COPIED_KEY)) == 1
        assert not alarms(board, COPIED_OTHERS)
    for other in mesh.others:
        (alarm,) = alarms(other, COPIED_OTHERS)
        assert f"·{one.id.tag}" in alarm.text
        said = other.station.directory.alarm(one.id)
        assert said is not None
        assert "two boards" in said
    # Then there is peace: nobody says more than summaries, and nobody has another card.
    before = mesh.sent
    for _ in range(10):
        mesh.wait(100.0)
    assert mesh.sent == before
    assert all(len(alarms(other, COPIED_OTHERS)) == 1 for other in mesh.others)


def test_halves_that_meet_when_each_knows_its_board_find_out_by_comparing() -> None:
    mesh = Mesh(between=2, linked=False)
    one, near, far, copy = mesh.nodes
    mesh.link(one, near)
    mesh.link(far, copy)
    mesh.settle(1)
    assert not any(alarms(node, COPIED_KEY) for node in mesh.nodes)
    mesh.link(near, far)
    for _ in range(3):
        mesh.wait(100.0)
    assert all(alarms(board, COPIED_KEY) for board in (one, copy))
    assert all(alarms(other, COPIED_OTHERS) for other in (near, far))


def test_who_joins_later_or_starts_anew_hears_of_it_too() -> None:
    mesh = Mesh(between=2)
    mesh.settle()
    late = Node()
    neighbour = mesh.others[0]
    mesh.nodes = [late, neighbour]
    mesh.link(late, neighbour)
    for _ in range(3):
        mesh.wait(100.0)
    assert alarms(late, COPIED_OTHERS)
    again = Node(neighbour.key, neighbour.db)
    assert not alarms(again, COPIED_OTHERS)
    assert again.station.cards.next_wakeup() is not None
    again.do(again.station.cards.wakeup(again.now))
    assert len(alarms(again, COPIED_OTHERS)) == 1


def test_the_alarm_of_others_ends_some_time_after_the_word() -> None:
    mesh = Mesh(between=2)
    mesh.settle()
    one, *others = mesh.nodes = mesh.nodes[:-1]  # one is stopped
    mesh.wait(ASK_EVERY_S + 1)
    for _ in range(ASKS):
        mesh.wait(SILENT_S + 1)
    assert AlarmOver(COPIED_KEY) in one.changes
    for other in others:
        assert other.station.directory.alarm(one.id) is None
        assert AlarmOver(COPIED_OTHERS) not in other.changes
    mesh.wait(HOLD_S + 1)
    for other in others:
        assert AlarmOver(COPIED_OTHERS) in other.changes
        assert other.station.cards.next_wakeup() is None


def invented(number: int, name: str, words: tuple[str, ...]) -> Record:
    key = StationKey.from_bytes(number.to_bytes(32, "big"))
    card = OwnCard(key, PREKEY, None, published=lambda _: ())
    stamp = Stamp(1, b"bootboot", 0, 0, Certainty.UNSET)
    (effect,) = card.start(lambda: stamp)
    assert isinstance(effect, Transact)
    assert isinstance(effect.operation, SetValue)
    made = read_card(read_record(effect.operation.value or b""))
    forged = type(made)(made.sequence, name, made.lines, made.prekey, words)
    return make_record(key, RecordKind.CARD, forged.encode(), stamp=stamp)


def test_invented_stations_can_not_ring_all_the_time_nor_hide_one_that_we_know() -> None:
    node, neighbour = Node(), Node()
    sight(node, neighbour)
    node.open(neighbour.id)
    known = invented(1, "Clinic", (COPIED,))
    for number in range(2, 2 + 2 * MAX_DOUBLED):
        node.hear(neighbour.id, Channel.CARD, invented(number, f"x{number}", (COPIED,)).raw)
    assert len(alarms(node, COPIED_OTHERS)) == 1
    node.do(node.station.directory.contacted(known.author))
    node.settle()
    node.hear(neighbour.id, Channel.CARD, known.raw)
    node.at += TELL_EVERY_S
    assert (node.station.cards.next_wakeup() or 0.0) <= node.at
    node.do(node.station.cards.wakeup(node.now))
    latest = alarms(node, COPIED_OTHERS)[-1]
    assert latest.text.startswith(f"Clinic ·{known.author.tag}, ")
    assert "and others" in latest.text
    assert len(alarms(node, COPIED_OTHERS)) == 2
    assert len(node.station.cards._doubled._until) == MAX_DOUBLED


def test_a_session_with_our_own_key_and_another_start_is_an_alarm_and_says_where() -> None:
    node = Node()
    node.do(
        node.station.session_opened(
            SessionInfo(7, node.id, node.boot, True, "fe80::1", "fe80::2", node.at), node.now
        )
    )
    assert not [one for one in node.changes if isinstance(one, AlarmRaised)]
    node.do(
        node.station.session_opened(
            SessionInfo(8, node.id, b"another.", True, "fe80::1", "fe80::9", node.at), node.now
        )
    )
    (alarm,) = [one for one in node.changes if isinstance(one, AlarmRaised)]
    assert alarm.code == "copied-key"
    assert "fe80::9" in alarm.text
    assert [end.handle for end in node.ended] == [7, 8]
