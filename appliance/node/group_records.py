"""What came of something in a group, as records for other stations and one operation."""

from __future__ import annotations

from collections.abc import Callable

from appliance.model.card import Prekey
from appliance.model.identity import Address, StationId, StationKey
from appliance.model.record import Precedence, Record, RecordKind, Stamp, make_record
from appliance.node.group_news import GroupResult
from appliance.node.ports.grouping import SaveGroupNews
from appliance.protocol.sealing import seal


def news_of(
    result: GroupResult,
    key: StationKey,
    *,
    prekey_of: Callable[[StationId], Prekey | None],
    stamp: Callable[[], Stamp],
    precedence: Precedence,
) -> SaveGroupNews | None:
    """Seal the notes, each to its station; None: there is nothing to store or to send.

    A key must not come later than the message that is sealed to it, so what is sent along with one
    has its `precedence`.
    """
    records: list[tuple[StationId, Record]] = []
    for station, note in result.notes:
        prekey = prekey_of(station)
        if prekey is None:
            continue
        try:
            content = seal(
                note, author=key.id, recipient=station, kind=RecordKind.GROUP, prekey=prekey
            )
        except ValueError:
            # Its card has a key that can't be used: nobody can write to it before it has another.
            continue
        record = make_record(
            key,
            RecordKind.GROUP,
            content,
            stamp=stamp(),
            to=(Address(station),),
            precedence=precedence,
            prekey=prekey.id,
        )
        records.append((station, record))
    if result.save is None and not records and not result.share:
        return None
    return SaveGroupNews(result.save, tuple(records), result.share)
