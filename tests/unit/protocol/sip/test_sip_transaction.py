"""The four tables of RFC 3261 section 17: complete, and with the RFC's timers."""

from __future__ import annotations

import pytest

from appliance.protocol.sip.transaction import (
    FIRST_STATE,
    TABLES,
    TIMERS,
    Action,
    Happening,
    Kind,
    State,
    Transaction,
)


@pytest.mark.parametrize("kind", Kind)
def test_every_state_is_reached_and_left(kind: Kind) -> None:
    table = TABLES[kind]
    reached, fresh = set(), {FIRST_STATE[kind]}
    while fresh:
        reached |= fresh
        fresh = {after for (state, _), (after, _) in table.items() if state in fresh} - reached
    assert {state for state, _ in table} == reached - {State.TERMINATED}
    assert State.TERMINATED in reached
    for state in reached - {State.TERMINATED}:
        timers = TIMERS.get((kind, state))
        if timers is not None:
            assert (timers.linger_s is not None) == ((state, Happening.LINGERED) in table)


def _sends(transaction: Transaction, until_s: float) -> list[float]:
    sending = {Action.SEND_REQUEST, Action.SEND_RESPONSE}
    times = []
    while (at := transaction.next_wakeup()) <= until_s:
        if sending & set(transaction.handle_timer(at)):
            times.append(at)
    return times


def test_invite_is_repeated_ever_more_slowly_and_given_up() -> None:
    transaction = Transaction(Kind.INVITE_CLIENT, reliable=False, now=0.0)
    assert _sends(transaction, 31.9) == [0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    assert transaction.handle_timer(32.0) == (Action.REPORT_TIMEOUT,)
    assert transaction.is_over


def test_other_requests_are_repeated_at_most_every_four_seconds() -> None:
    transaction = Transaction(Kind.NON_INVITE_CLIENT, reliable=False, now=0.0)
    assert _sends(transaction, 8.0) == [0.5, 1.5, 3.5, 7.5]
    transaction.handle(Happening.PROVISIONAL, 8.0)
    assert _sends(transaction, 31.9) == [12.0, 16.0, 20.0, 24.0, 28.0]
    assert transaction.handle_timer(32.0) == (Action.REPORT_TIMEOUT,)


def test_a_final_response_is_repeated_until_its_ack() -> None:
    transaction = Transaction(Kind.INVITE_SERVER, reliable=False, now=0.0)
    transaction.handle(Happening.FAILURE, 0.0)
    assert _sends(transaction, 12.0) == [0.5, 1.5, 3.5, 7.5, 11.5]
    transaction.handle(Happening.ACK, 12.0)
    assert transaction.state is State.CONFIRMED
    assert _sends(transaction, 17.0) == []
    assert transaction.is_over


@pytest.mark.parametrize("kind", Kind)
def test_nothing_is_repeated_on_a_reliable_transport(kind: Kind) -> None:
    for happening in (Happening.FAILURE, Happening.PROVISIONAL, Happening.ACK):
        transaction = Transaction(kind, reliable=True, now=0.0)
        transaction.handle(happening, 0.0)
        assert _sends(transaction, 100.0) == []


def test_a_2xx_stays_on_any_transport() -> None:
    transaction = Transaction(Kind.INVITE_CLIENT, reliable=True, now=0.0)
    assert transaction.handle(Happening.SUCCESS, 1.0) == (Action.PASS_UP,)
    assert transaction.handle(Happening.SUCCESS, 2.0) == (Action.PASS_UP,)
    assert transaction.handle(Happening.FAILURE, 2.0) == ()
    assert transaction.next_wakeup() == 33.0
    transaction.handle_timer(33.0)
    assert transaction.is_over


def test_a_new_connection_repeats_what_is_unfinished() -> None:
    for kind, action in (
        (Kind.INVITE_CLIENT, Action.SEND_REQUEST),
        (Kind.NON_INVITE_CLIENT, Action.SEND_REQUEST),
    ):
        transaction = Transaction(kind, reliable=True, now=0.0)
        assert transaction.handle(Happening.LINK_BACK, 1.0) == (action,)
        transaction.handle(Happening.PROVISIONAL, 1.0)
        assert transaction.handle(Happening.LINK_BACK, 1.0) == (action,)
    server = Transaction(Kind.INVITE_SERVER, reliable=True, now=0.0)
    server.handle(Happening.FAILURE, 0.0)
    assert server.handle(Happening.LINK_BACK, 1.0) == (Action.SEND_RESPONSE,)
