"""Stations that the backends in memory know."""

from __future__ import annotations

from dataclasses import replace

from appliance.api.schema import Station, WallTime

NOW = WallTime(1_700_000_000_000, sure=True)
US = "0" * 56
CLINIC = "k7qd" + "a" * 52
PUMP = "k7qd" + "b" * 52
"""Begins as the clinic does."""

AWAY = "zzzz" + "c" * 52


def station(id_: str, name: str, **changes: object) -> Station:
    known = Station(
        id=id_,
        tag=id_[:4],
        name=name,
        number="4820193",
        trust="known",
        reach="here",
        since_s=3.0,
        last_seen=NOW,
        rtt_ms=0.4,
        host="fe80::1",
        link="eth0",
        unread=0,
        alarm=None,
        has_card=True,
        clock_off_s=0.0,
    )
    return replace(known, **changes)  # type: ignore[arg-type]  # names of fields, by the tests
