"""The store, as the pump uses it: what the station wants kept, and what follows once it is."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

from appliance.adapters.prekey_files import PrekeyFiles
from appliance.daemon.store_health import StoreHealth
from appliance.daemon.timekeeper import AWAKE_VALUE
from appliance.daemon.watcher import Watcher
from appliance.node.effects import Transact
from appliance.node.ports import Operation, SaveReceipt, SetValue, StoreError
from appliance.node.ports.prekeys import PrekeyOperation

if TYPE_CHECKING:
    from appliance.daemon.runtime import Runtime

log = logging.getLogger(__name__)

KEEP_AWAKE_EVERY_S: Final = 60.0
"""How often the time that this station has been awake is noted."""


class Storing:
    """Gives the store the station's operations, and the station their results."""

    def __init__(self, runtime: Runtime, prekeys: PrekeyFiles, watcher: Watcher) -> None:
        self._runtime = runtime
        self._prekeys = prekeys
        self._watcher = watcher
        self._health = StoreHealth(
            runtime.store.has_room, watcher.store_failed, watcher.store_works
        )

    def start(self) -> None:
        """Begin what goes on beside, until the runtime stops."""
        self._runtime.spawn(self._keep_awake())
        self._runtime.spawn(self._need_store())

    async def stop(self) -> None:
        """Leave the store complete."""
        self._runtime.store.submit(self._awake_operation(), lazy=True)
        await self._runtime.store.close()

    async def _keep_awake(self) -> None:
        while True:
            await asyncio.sleep(KEEP_AWAKE_EVERY_S)
            self._runtime.store.submit(self._awake_operation(), lazy=True)

    async def _need_store(self) -> None:
        """A daemon without a store would take nothing and look alive."""
        await self._runtime.store.ended()
        raise StoreError("store-failed", "The store has stopped.")

    def _awake_operation(self) -> Operation[None]:
        awake_ms = int(self._runtime.time.moment().awake_s * 1000)
        return SetValue(AWAKE_VALUE, str(awake_ms).encode())

    def transact(self, effect: Transact[Any]) -> None:
        """Have an operation done; what follows from its result is carried out then."""
        runtime = self._runtime
        if isinstance(effect.operation, PrekeyOperation):
            runtime.spawn(self._keep_prekey(effect.operation, effect))
            return

        def failed(error: StoreError) -> None:
            self._health.failed(effect, error)
            runtime.carry_out(effect.failed(str(error)))

        runtime.attachments.submitted(effect.operation)

        def durable(result: Any) -> None:
            self._health.stored(effect)
            runtime.attachments.stored(effect.operation)
            runtime.carry_out(effect.then(result))

        runtime.store.submit(
            effect.operation,
            lazy=effect.lazy,
            on_applied=lambda result: runtime.carry_out(effect.early(result)),
            on_durable=durable,
            on_failed=failed,
        )
        if isinstance(effect.operation, SaveReceipt) and len(effect.operation.records) == 1:
            self._watcher.may_change(effect.operation.records[0])

    async def _keep_prekey(self, operation: PrekeyOperation, effect: Transact[Any]) -> None:
        try:
            await self._prekeys.perform(operation)
        except StoreError as error:
            log.warning("a prekey could not be changed, and is tried again: %s", error)
            self._runtime.carry_out(effect.failed(str(error)))
        else:
            self._runtime.carry_out(effect.then(None))
