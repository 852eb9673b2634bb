"""Which function carries out which operation, which of them only read, and how large each is."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from appliance.adapters.store import (
    attachments,
    calls,
    carried,
    groups,
    handing,
    messages,
    outbox,
    reading,
    receipting,
    resealing,
    retention,
    search,
    stations,
)
from appliance.model.cargo import Load
from appliance.node import ports
from appliance.node.ports import attaching, calling, carrying, grouping, keeping
from appliance.node.ports import handing as stick
from appliance.node.ports import receipting as owing

Handler: TypeAlias = Callable[[sqlite3.Connection, Any], Any]

READS: Final[dict[type[ports.Operation[Any]], Handler]] = {
    ports.Pending: outbox.pending,
    ports.GetMessage: reading.get_message,
    ports.GetMessages: reading.get_messages,
    ports.CountUnread: reading.count_unread,
    ports.GetUnread: reading.get_unread,
    ports.GetStations: stations.get_stations,
    ports.GetValue: stations.get_value,
    carrying.GetCarried: carried.get_carried,
    carrying.GetCargo: carried.get_cargo,
    carrying.Overdue: carried.overdue,
    keeping.GetPage: reading.get_page,
    keeping.GetRecipients: reading.get_recipients,
    keeping.Search: search.search,
    keeping.GetUsage: retention.get_usage,
    keeping.GetCandidates: retention.get_candidates,
    keeping.GetEvictions: retention.get_evictions,
    stick.GetHanded: handing.get_handed,
    stick.GetRaw: handing.get_raw,
    owing.GetOwed: receipting.get_owed,
    owing.GetOwing: receipting.get_owing,
    owing.GetComplete: receipting.get_complete,
    owing.GetUnopened: resealing.get_unopened,
    calling.GetCalls: calls.get_calls,
    calling.CountMissed: calls.count_missed,
    attaching.GetUses: attachments.get_uses,
    attaching.ScanUses: attachments.scan_uses,
    grouping.GetGroups: groups.get_groups,
    grouping.GetKept: groups.get_kept,
    grouping.GetNotes: groups.get_notes,
}
"""They change nothing, so their answers wait for no disk."""

WRITES: Final[dict[type[ports.Operation[Any]], Handler]] = {
    ports.SaveOutgoing: messages.save_outgoing,
    ports.SaveIncoming: messages.save_incoming,
    ports.SaveReceipt: receipting.save_receipt,
    ports.NoteProblem: receipting.note_problem,
    ports.MarkRead: receipting.mark_read,
    ports.OutboxDone: outbox.outbox_done,
    ports.SaveStation: stations.save_station,
    ports.ForgetStation: stations.forget_station,
    ports.SetValue: stations.set_value,
    carrying.Ship: carried.ship,
    carrying.ShipAll: carried.ship_all,
    carrying.Expire: carried.expire,
    carrying.NoteHolder: carried.note_holder,
    keeping.Evict: retention.evict,
    keeping.Shed: retention.shed,
    keeping.Forget: retention.forget,
    owing.LetWait: receipting.let_wait,
    owing.SaveResealed: resealing.save_resealed,
    calling.SaveCall: calls.save_call,
    calling.CutCalls: calls.cut_calls,
    calling.SeeCalls: calls.see_calls,
    attaching.Wish: attachments.wish,
    grouping.SaveGroup: groups.save_group,
    grouping.ShareHistory: groups.share_history,
    grouping.SaveGroupNews: groups.save_group_news,
    grouping.WithNews: groups.with_news,
}

SENT: Final[frozenset[type[ports.Operation[Any]]]] = frozenset(
    {
        ports.Pending,
        ports.GetUnread,
        carrying.GetCarried,
        owing.GetOwed,
        owing.GetComplete,
        stick.GetHanded,
        stick.GetRaw,
    }
)
"""What these find leaves this station, or our word on it does: it must be on disk by then, or a
power cut or a full disk makes a receipt for what is not there."""

FROM_PEERS: Final = (
    ports.SaveIncoming,
    ports.SaveReceipt,
    ports.NoteProblem,
    ports.OutboxDone,
    ports.SaveStation,
    ports.ForgetStation,
    ports.Pending,
    carrying.Ship,
    carrying.ShipAll,
    carrying.GetCarried,
    carrying.NoteHolder,
    owing.GetOwed,
    owing.GetComplete,
    owing.GetUnopened,
    owing.LetWait,
    owing.SaveResealed,
    grouping.GetKept,
    grouping.GetNotes,
    grouping.SaveGroupNews,
)
"""What other stations bring about."""

_BASE_SIZE: Final = 256
"""Bytes counted for every operation beside what it carries."""

_ID_SIZE: Final = 64
"""Bytes counted for a record id, as a Python object."""


def size_of(operation: ports.Operation[Any]) -> int:
    """Return about how many bytes an operation keeps in memory while it waits."""
    match operation:
        case ports.SaveOutgoing(message, record):
            size = len(record.raw) + len(message.text)
        case ports.SaveIncoming(message, record, receipt):
            receipt_size = len(receipt.raw) if receipt is not None else 0
            size = len(record.raw) + len(message.text) + receipt_size
        case ports.MarkRead(receipts=records):
            size = sum(len(record.raw) for _, record in records)
        case (
            ports.SaveReceipt(records=ids)
            | ports.OutboxDone(records=ids)
            | ports.NoteProblem(records=ids)
        ):
            size = _ID_SIZE * len(ids)
        case ports.Pending(skip=ids):
            size = _ID_SIZE * len(ids)
        case carrying.Ship(load):
            size = _size_of_load(load)
        case carrying.ShipAll(loads):
            size = sum(map(_size_of_load, loads))
        case (
            carrying.GetCarried(records=ids)
            | carrying.NoteHolder(messages=ids)
            | owing.GetComplete(messages=ids)
            | owing.GetUnopened(records=ids)
            | grouping.GetNotes(records=ids)
            | stick.GetRaw(records=ids)
        ):
            size = _ID_SIZE * len(ids)
        case owing.LetWait(records=waiting):
            size = sum(len(record.raw) for _, record in waiting)
        case grouping.SaveGroup(state=state):
            size = len(state or b"")
        case grouping.SaveGroupNews():
            size = _size_of_news(operation)
        case grouping.WithNews(news, inner):
            size = _size_of_news(news) + size_of(inner)
        case owing.SaveResealed(record=record):
            size = len(record.raw)
        case ports.SaveStation(station):
            size = len(station.card or b"")
        case ports.SetValue(value=value):
            size = len(value or b"")
        case _:
            size = 0
    return _BASE_SIZE + size


def _size_of_load(load: Load) -> int:
    return len(load.record.raw) + _ID_SIZE * len(load.covers)


def _size_of_news(news: grouping.SaveGroupNews) -> int:
    state = news.save.state if news.save is not None else None
    records = [record for _, record in (*news.records, *news.notices)]
    return len(state or b"") + sum(len(record.raw) for record in records)
