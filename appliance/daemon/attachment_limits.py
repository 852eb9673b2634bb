"""How large files may be, as the operator has chosen it, over restarts."""

from __future__ import annotations

import json
import logging
from typing import Final

from appliance.adapters.blobs import BlobLimits
from appliance.adapters.store import Store
from appliance.node.ports import GetValue, SetValue, StoreError

log = logging.getLogger(__name__)

LIMITS_VALUE: Final = "attachments"


def keep_limits(limits: BlobLimits) -> SetValue:
    """Return the operation that lets limits count after a restart too."""
    value = json.dumps({"each": limits.each, "total": limits.total}).encode()
    return SetValue(LIMITS_VALUE, value)


async def load_limits(store: Store) -> BlobLimits:
    """Return what was chosen, or the usual."""
    try:
        data = await store.perform(GetValue(LIMITS_VALUE))
        if data is None:
            return BlobLimits()
        value = json.loads(data)
        return BlobLimits(each=int(value["each"]), total=int(value["total"]))
    except (StoreError, ValueError, TypeError, KeyError):
        log.warning("how large attachments may be can't be read; the usual limits count")
        return BlobLimits()
