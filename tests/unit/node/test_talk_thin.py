"""What a talk group's stations tell each other of their links, hop by hop towards the speaker."""

from __future__ import annotations

from dataclasses import replace

from talk_claims import hand
from talk_world import TalkWorld, grid

from appliance.model.talk_media import TalkHeard, TalkHop, TalkReport, TalkStats
from appliance.node.talk_board import TOO_THIN_HERE, TOO_THIN_THERE
from appliance.protocol.talk import Join, Thin

REPORT = TalkReport(100, 5_000, 0b1011, 40, 15, 20_000)


def chain() -> TalkWorld:
    """0 speaks, 1 passes it on to 2 and 3 behind it."""
    world = TalkWorld(grid(4, 1))
    world.listen(0, 1, 2, 3)
    world.press(0)
    world.run(1.0)
    assert world.packet(0).listeners == {1, 2, 3}
    return world


def tell(world: TalkWorld, number: int, **more: object) -> None:
    """The voice process of a station has figures."""
    seat = world.seats[number]
    spurt = seat.state["everyone"].spurt
    assert spurt is not None
    stats = TalkStats("everyone", spurt, 50, 0, 0, 0, -20.0, **more)  # type: ignore[arg-type]
    world.do(seat, seat.talk.media_event(stats, world.time()))


def heard(world: TalkWorld, number: int) -> list[TalkHeard]:
    return [said for said in world.seats[number].said if isinstance(said, TalkHeard)]


def child_of(world: TalkWorld, number: int) -> TalkHop:
    (hop,) = world.seats[number].state["everyone"].children
    return hop


def test_a_report_goes_to_the_voice_process_of_whoever_it_is_had_from_and_no_farther() -> None:
    world = chain()
    tell(world, 2, report=REPORT)
    world.run(0.5)
    (told,) = heard(world, 1)
    assert (told.report, told.child) == (REPORT, child_of(world, 1))
    assert not heard(world, 0)
    assert not heard(world, 3)
    world.run(3.0)
    assert len(heard(world, 1)) == 1, "each is told once"


def test_reports_of_strangers_and_of_other_spurts_count_for_nothing() -> None:
    world = chain()
    seat = world.seats[1]
    spurt = bytes.fromhex(seat.state["everyone"].spurt or "")
    for _ in range(200):
        hand(world, 1, 2, Join(world.random.randbytes(16), 4000, REPORT))
    assert not heard(world, 1)
    for number in range(200):
        hand(world, 1, 2, Join(spurt, 4000, replace(REPORT, highest=number)))
    assert len(heard(world, 1)) < 100, "a neighbour may not say as much as it likes"


def test_who_is_left_out_is_told_and_all_behind_it_and_the_speaker() -> None:
    world = chain()
    tell(world, 1, cut=(child_of(world, 1),))
    tell(world, 0, without=1)
    world.run(1.5)
    assert world.seats[0].view().detail == TOO_THIN_THERE
    assert world.seats[1].view().detail == ""
    assert world.seats[2].view().detail == TOO_THIN_HERE
    assert world.seats[3].view().detail == TOO_THIN_HERE
    tell(world, 1)
    tell(world, 0)
    world.run(8.0)
    assert world.packet(0).listeners == {1, 2, 3}, "it is asked for again"
    tell(world, 2)
    assert world.seats[0].view().detail == ""
    assert world.seats[2].view().detail == "", "something came"


def test_nobody_but_whom_we_have_it_from_says_that_the_way_is_too_thin() -> None:
    world = chain()
    spurt = bytes.fromhex(world.seats[1].state["everyone"].spurt or "")
    hand(world, 1, 2, Thin(spurt))
    hand(world, 1, 0, Thin(bytes(16)))
    world.run(0.1)
    assert world.seats[1].view().detail == ""
    assert world.packet(0).listeners == {1, 2, 3}
