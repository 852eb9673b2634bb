"""Talk groups: who has the floor, and how the sound gets to all who listen."""

from __future__ import annotations

import pytest
from talk_world import TalkWorld, grid

from appliance.model.record import Precedence
from appliance.model.talk import KeyState
from appliance.model.talk_media import SetTalk, TalkFailed, TalkStats
from appliance.node.talk_board import TalkRefusedError
from appliance.node.talk_spurts import SILENT_S
from appliance.protocol.talk import LIMIT_S


def everybody_listens(world: TalkWorld) -> None:
    world.listen(*range(len(world.seats)))


@pytest.mark.parametrize("routes", [True, False])
def test_all_on_a_grid_hear_one_copy_of_it_each(routes: bool) -> None:
    world = TalkWorld(grid(4, 4), routes=routes)
    everybody_listens(world)
    world.press(0)
    world.run(0.1)
    heard = world.packet(0)
    assert heard.listeners == frozenset(range(1, 16))
    # One copy over every link of a tree, and none over the others.
    assert len(heard.links) == 15
    assert set(heard.links.values()) == {1}
    assert world.speakers() == {world.seats[0].id}
    assert world.seats[0].view().key is KeyState.SPEAKING


def test_only_listeners_and_those_between_carry_it() -> None:
    world = TalkWorld([(0, 1), (1, 2), (2, 3), (1, 4)])
    world.listen(3)
    world.press(0)
    world.run(0.1)
    heard = world.packet(0)
    assert heard.listeners == {3}
    assert set(heard.links) == {(0, 1), (1, 2), (2, 3)}
    assert heard.opened == {3}, "whoever only passes it on was given no key"


def test_a_hundred_stations() -> None:
    world = TalkWorld(grid(10, 10))
    everybody_listens(world)
    world.press(0)
    world.run(0.2)
    assert len(world.packet(0).listeners) == 99
    before = world.messages
    world.run(1.0)
    # A second costs each link a claim at most each way, and one join with its answer.
    assert world.messages - before <= 180 * 2 + 99 * 2
    world.release(0)
    world.run(0.2)
    assert world.speakers() == {None}
    world.run(4.0)
    before = world.messages
    world.run(60.0)
    assert world.messages == before, "silence costs nothing"


def test_who_comes_late_hears_the_rest() -> None:
    world = TalkWorld([(0, 1)], seats=3)
    everybody_listens(world)
    world.press(0)
    world.run(5.0)
    assert world.packet(0).listeners == {1}
    world.link(1, 2)
    world.run(0.05)
    assert world.packet(0).listeners == {1, 2}
    assert world.seats[2].view().began_at == pytest.approx(1000.0, abs=1.1)


def test_the_second_to_press_waits_for_its_turn() -> None:
    world = TalkWorld(grid(3, 1))
    everybody_listens(world)
    world.press(0)
    world.run(0.1)
    world.press(2)
    waiting = world.seats[2].view()
    assert waiting.key is KeyState.WAITING
    assert waiting.detail == "station 0 is talking."
    assert world.seats[2].tones() == ["talk-busy"]
    world.run(5.0)
    assert world.speakers() == {world.seats[0].id}
    world.release(0)
    world.run(0.1)
    assert world.speakers() == {world.seats[2].id}
    assert world.seats[2].tones() == ["talk-busy", "talk-go"]
    assert world.packet(2).listeners == {0, 1}


def test_of_two_at_once_the_same_one_has_the_floor_everywhere() -> None:
    world = TalkWorld(grid(5, 1), delay_s=0.05)
    everybody_listens(world)
    world.press(0)
    world.press(4)
    world.run(1.0)
    (speaker,) = world.speakers()
    assert speaker == min(world.seats[0].id, world.seats[4].id)
    winner, loser = sorted((world.seats[0], world.seats[4]), key=lambda seat: seat.id)
    assert winner.view().key is KeyState.SPEAKING
    assert loser.view().key is KeyState.WAITING
    assert loser.view().detail == f"station {winner.number} is talking."
    assert len(world.packet(winner.number).listeners) == 4


def test_what_is_more_urgent_takes_the_floor_at_once() -> None:
    world = TalkWorld(grid(4, 1))
    everybody_listens(world)
    world.press(0)
    world.run(3.0)
    world.press(3, precedence=Precedence.EMERGENCY)
    world.run(0.05)
    assert world.speakers() == {world.seats[3].id}
    assert world.seats[0].view().key is KeyState.WAITING
    assert world.seats[1].view().precedence is Precedence.EMERGENCY
    assert world.packet(3).listeners == {0, 1, 2}
    assert not any(state.speaking for state in world.seats[0].state.values())
    world.press(0, precedence=Precedence.PRIORITY)
    world.run(1.0)
    assert world.speakers() == {world.seats[3].id}


def test_a_key_that_waits_is_pressed_harder() -> None:
    world = TalkWorld(grid(2, 1))
    everybody_listens(world)
    world.press(0)
    world.run(0.1)
    world.press(1)
    assert world.seats[1].view().key is KeyState.WAITING
    world.press(1, precedence=Precedence.EMERGENCY)
    world.run(0.1)
    assert world.speakers() == {world.seats[1].id}


def test_a_speaker_that_vanishes_frees_the_floor() -> None:
    world = TalkWorld(grid(4, 4))
    everybody_listens(world)
    world.press(5)
    world.run(3.0)
    world.press(15)
    world.kill(5)
    world.run(SILENT_S + 0.2)
    assert world.speakers() == {world.seats[15].id}
    assert len(world.packet(15).listeners) == 14


def test_a_spurt_ends_after_its_time_and_the_next_has_its_turn() -> None:
    world = TalkWorld(grid(3, 1))
    everybody_listens(world)
    world.press(0)
    world.run(10.0)
    world.press(2)
    world.run(LIMIT_S - 9.9)
    over = world.seats[0].view()
    assert over.key is KeyState.OVER
    assert over.detail == "60 seconds are over.  Let go and press again."
    assert world.speakers() == {world.seats[2].id}
    world.release(0)
    world.press(0)
    assert world.seats[0].view().key is KeyState.WAITING


def test_two_halves_that_meet_agree() -> None:
    world = TalkWorld([(0, 1), (2, 3)])
    everybody_listens(world)
    world.press(0)
    world.press(3)
    world.run(2.0)
    assert world.speakers() == {world.seats[0].id, world.seats[3].id}
    world.link(1, 2)
    world.run(0.1)
    (speaker,) = world.speakers()
    assert speaker == min(world.seats[0].id, world.seats[3].id)
    number = world._number[speaker]
    assert len(world.packet(number).listeners) == 3


@pytest.mark.parametrize("routes", [True, False])
def test_a_cut_link_moves_the_tree(routes: bool) -> None:
    world = TalkWorld([(0, 1), (1, 2), (2, 3), (3, 0)], routes=routes)
    everybody_listens(world)
    world.press(0)
    world.run(2.5)
    assert len(world.packet(0).listeners) == 3
    world.cut(0, 1)
    world.run(1.5)
    heard = world.packet(0)
    assert heard.listeners == {1, 2, 3}
    assert set(heard.links) == {(0, 3), (3, 2), (2, 1)}


def test_a_relay_that_dies_is_gone_around() -> None:
    world = TalkWorld([(0, 1), (1, 2), (2, 3), (3, 0)], routes=False)
    everybody_listens(world)
    world.press(0)
    world.run(2.5)
    middle = 1 if (0, 1) in world.packet(0).links and (1, 2) in world.packet(0).links else 3
    world.kill(middle)
    seat, came = world.seats[2], 100
    for _ in range(5):
        # Nobody says that a session has ended: the voice process alone notices.
        world.run(1.0)
        came += 2 in world.packet(0).listeners
        stats = TalkStats("everyone", seat.state["everyone"].spurt or "", came, 0, 0, 0, -100.0)
        world.do(seat, seat.talk.media_event(stats, world.time()))
    assert 2 in world.packet(0).listeners


def test_a_voice_process_that_died_is_told_all_again() -> None:
    world = TalkWorld(grid(3, 1))
    everybody_listens(world)
    world.press(0)
    world.run(1.2)
    for number in range(3):
        world.media_dies(number)
        world.run(0.05)
        assert world.packet(0).listeners == {1, 2}


def test_without_a_microphone_the_key_is_no_use() -> None:
    world = TalkWorld(grid(2, 1))
    everybody_listens(world)
    world.press(0)
    world.run(0.1)
    failed = TalkFailed("everyone", None, "There is no microphone.")
    world.do(world.seats[0], world.seats[0].talk.media_event(failed, world.time()))
    world.run(0.1)
    assert world.seats[0].view().key is KeyState.OVER
    assert world.seats[0].view().detail == "There is no microphone."
    assert world.speakers() == {None}


def test_letting_go_ends_it_for_all_and_says_so_to_the_ear() -> None:
    world = TalkWorld(grid(3, 1))
    everybody_listens(world)
    world.press(0)
    world.run(1.5)
    world.release(0)
    world.run(0.1)
    assert world.speakers() == {None}
    assert world.seats[2].tones() == ["talk-over"]
    assert world.seats[1].tones() == ["talk-over"]
    assert world.seats[0].tones() == ["talk-go"]
    assert world.seats[2].state["everyone"] == SetTalk("everyone", None, listening=True)


def test_who_stops_to_listen_gives_back_what_it_had() -> None:
    world = TalkWorld(grid(2, 1))
    everybody_listens(world)
    world.press(0)
    world.run(0.5)
    seat = world.seats[1]
    world.do(seat, seat.talk.listen(None, world.time(), on=False))
    world.run(0.1)
    assert not seat.state
    assert not world.packet(0).links


def test_nobody_presses_where_nobody_hears() -> None:
    world = TalkWorld([(1, 2)])
    with pytest.raises(TalkRefusedError) as refused:
        world.press(0)
    assert refused.value.code == "nobody"


def test_a_restarted_speaker_is_heard_again() -> None:
    world = TalkWorld(grid(2, 1))
    everybody_listens(world)
    for _ in range(3):
        world.press(0)
        world.run(1.0)
        world.release(0)
    world.start_again(0)
    world.link(0, 1)
    world.press(0)
    world.run(0.1)
    assert world.packet(0).listeners == {1}


def test_a_station_of_an_earlier_release_is_gone_around() -> None:
    world = TalkWorld([(0, 1), (1, 2), (0, 3), (3, 4), (4, 2)], old=(1,))
    everybody_listens(world)
    world.press(0)
    world.run(0.2)
    assert world.packet(0).listeners == {2, 3, 4}
    assert not world.seats[1].said
    world.run(10.0)
    assert world.packet(0).listeners == {2, 3, 4}
