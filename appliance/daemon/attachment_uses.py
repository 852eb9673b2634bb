"""What operations on the store mean for bulk data: which of it they name, and whom they trust."""

from __future__ import annotations

from typing import Any

from appliance.model.identity import StationId
from appliance.node.directory import Trust
from appliance.node.ports import Operation, SaveIncoming, SaveOutgoing, SaveStation
from appliance.node.ports.carrying import Ship, ShipAll
from appliance.node.ports.grouping import WithNews


def roots_of(operation: Operation[Any]) -> tuple[bytes, ...]:
    """Return the blobs that an operation names."""
    match operation:
        case WithNews(operation=inner):
            return roots_of(inner)
        case SaveOutgoing(record=record) | SaveIncoming(record=record):
            records = [record]
        case Ship(load):
            records = [load.record]
        case ShipAll(loads):
            records = [load.record for load in loads]
        case _:
            return ()
    return tuple(blob.root for record in records for blob in record.blobs)


def trusted_by(operation: Operation[Any]) -> frozenset[StationId]:
    """Return who is no stranger by what an operation stores."""
    match operation:
        case WithNews(operation=inner):
            return trusted_by(inner)
        case SaveOutgoing(recipients=recipients):
            return frozenset(recipients)
        case SaveStation(station) if station.trust != Trust.NEW.value:
            return frozenset((station.id,))
        case _:
            return frozenset()
