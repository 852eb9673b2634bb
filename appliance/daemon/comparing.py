"""Comparing keys with other operators, as clients ask for it."""

from __future__ import annotations

from appliance.api.backend import ApiError
from appliance.api.schema import Verification
from appliance.daemon.lookup import Lookup, sentence
from appliance.daemon.runtime import Runtime
from appliance.daemon.views import Views
from appliance.model.identity import IdentityError, StationId
from appliance.node.verification import VerificationRefusedError


class Comparing:
    """Answers what is asked of comparisons."""

    _runtime: Runtime
    _lookup: Lookup
    _views: Views

    async def start_verification(self, station: str) -> Verification:
        """See `Backend`."""
        peer = self._lookup.find(station)
        if not await self._runtime.reach(peer):
            raise ApiError(
                409,
                "away",
                "This station is not in reach, so no digits can be made.",
                "Compare the whole id instead.",
            )
        try:
            comparison, effects = self._runtime.station.verifier.begin(
                peer, self._runtime.time.now().monotonic
            )
        except VerificationRefusedError as error:
            raise ApiError(429, error.code, str(error)) from None
        self._runtime.carry_out(effects)
        return self._views.verification(comparison)

    async def verify_by_id(self, station: str, spoken_id: str) -> Verification:
        """See `Backend`."""
        peer = self._lookup.find(station)
        try:
            heard = StationId.parse(spoken_id)
        except IdentityError as error:
            raise ApiError(422, "bad-id", f"{sentence(error)}.", "Read it out once more.") from None
        match = heard == peer
        effects = self._runtime.station.directory.verified(peer) if match else []
        self._runtime.carry_out(effects)
        return self._views.verified_by_id(peer, match=match)

    def verifications(self) -> tuple[Verification, ...]:
        """See `Backend`."""
        return tuple(self._views.verification(one) for one in self._runtime.station.verifier.all())

    async def finish_verification(self, verification: str, *, match: bool) -> Verification:
        """See `Backend`."""
        try:
            comparison, effects = self._runtime.station.judge(verification, match=match)
        except VerificationRefusedError as error:
            status = 404 if error.code == "unknown" else 409
            raise ApiError(status, error.code, str(error)) from None
        self._runtime.carry_out(effects)
        return self._views.verification(comparison)
