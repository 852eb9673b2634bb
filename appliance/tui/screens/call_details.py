"""The figures behind the word for how a call sounds."""

from __future__ import annotations

from appliance.api.schema import CallDetails, CallInfo
from appliance.tui import views
from appliance.tui.dialogs import ESC_BACK, Area, Dialog, paragraphs
from appliance.tui.keybar import Hint
from appliance.tui.look import BOLD, PLAIN
from appliance.tui.pane import Row

_LABEL = 17


class CallDetailsPage(Dialog):
    """What is measured, while the call runs."""

    title = "How this call sounds"

    def wanted_width(self, area: Area) -> int:
        return min(area.width - 2, 66)

    def hints(self) -> list[Hint]:
        return [ESC_BACK]

    def on_key_pressed(self, key: str, character: str | None) -> None:
        if key in {"f2", "enter"}:
            self.close()
        else:
            super().on_key_pressed(key, character)

    def body(self, width: int) -> list[Row]:
        call = views.running(self.station_app.state)
        if call is None:
            return [[("The call is over.", PLAIN)]]
        if call.details is None:
            return [[("Nothing is measured yet.", PLAIN)]]
        rows: list[Row] = []
        for label, text in _figures(call):
            lines = paragraphs(text, width - _LABEL)
            for at, line in enumerate(lines):
                rows.append([(f"{label if at == 0 else '':<{_LABEL}}", BOLD), *line])
        return rows


def _figures(call: CallInfo) -> list[tuple[str, str]]:
    found = call.details
    if found is None:
        return []
    why = f", because of {call.reason}" if call.reason else ""
    there = "no report yet"
    if found.loss_there_pct is not None:
        burst = f", {found.burst_there:.1f} in a row" if found.burst_there >= 1.5 else ""
        there = f"{found.loss_there_pct:.0f} %{burst}"
    round_trip = "not known" if found.round_trip_ms is None else f"{found.round_trip_ms:.0f} ms"
    return [
        ("Sound", "trouble: it stands above" if call.problems else f"{call.quality}{why}"),
        *([("", call.advice)] if call.advice else []),
        ("Lost of theirs", f"{found.loss_pct:.0f} % of the packets"),
        ("  repaired", f"{found.repaired_pct:.0f} % of the sound, by copies or correction"),
        ("  not heard", f"{found.concealed_pct:.0f} % of the sound, made up"),
        ("Lost of ours", there),
        *_sending(found),
        ("Waits here", f"{found.delay_ms:.0f} ms, so that late packets still count"),
        ("There and back", round_trip),
        ("Unevenness", f"{found.jitter_ms:.0f} ms"),
        ("This machine", f"{found.late_ms:.0f} ms late at worst"),
        ("Dropped", f"{found.rejected} packets that were forged, repeated or broken"),
        ("Encrypted", "yes, from end to end" if call.encrypted else "NO: others can listen"),
    ]


def _sending(found: CallDetails) -> list[tuple[str, str]]:
    if not found.sending_kbit_s:
        return []
    number = len(found.copies)
    copies = f", {number} {'copy' if number == 1 else 'copies'}" if number else ""
    band = f", {found.bandwidth}" if found.bandwidth else ""
    words = f"{found.sending_kbit_s:.0f} kbit/s, {found.frame_ms} ms a packet{copies}{band}"
    return [("We send", words), *([("", "The link is thin.")] if found.thin else [])]
