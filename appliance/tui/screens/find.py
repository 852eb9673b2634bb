"""Finding one station among many: by name, number or the beginning of its id."""

from __future__ import annotations

from appliance.api.schema import Station
from appliance.tui import views
from appliance.tui.dialogs import PromptDialog
from appliance.tui.keybar import Hint
from appliance.tui.look import INVERSE, PLAIN
from appliance.tui.pane import Row, spread
from appliance.tui.text import plain_name
from appliance.tui.wording import name, number, presence

_SHOWN = 8


def matches(station: Station, typed: str) -> bool:
    """Tell whether what was typed fits a station."""
    wanted = typed.strip().casefold()
    digits = wanted.replace("-", "").replace(" ", "")
    return (
        wanted in plain_name(station.name).casefold()
        or (digits.isdigit() and station.number.startswith(digits))
        or station.id.casefold().startswith(wanted.lstrip("·"))
    )


class FindDialog(PromptDialog):
    """Type a part, choose with the arrows."""

    title = "Find a station"
    question = "Its name, its number, or the first letters of its id:"

    def __init__(self) -> None:
        super().__init__()
        self._chosen = 0

    def hints(self) -> list[Hint]:
        return [Hint("Up/Down", "choose"), Hint("Enter", "open"), Hint("Esc", "back")]

    def found(self) -> list[str]:
        """Return the ids that fit, as they are listed."""
        state = self.station_app.state
        listed = (state.stations[key] for key in state.listed if key in state.stations)
        return [one.id for one in listed if matches(one, self.editor.text)]

    def body(self, width: int) -> list[Row]:
        app = self.station_app
        found = self.found()
        self._chosen = max(min(self._chosen, len(found) - 1), 0)
        first = max(self._chosen - _SHOWN + 1, 0)
        rows: list[Row] = [*super().body(width), []]
        for place, key in enumerate(found[first : first + _SHOWN], first):
            station = app.state.stations[key]
            where = presence(station, views.away_s(app.state, station, app.now_s()))
            mark = ">" if place == self._chosen else " "
            style = INVERSE if place == self._chosen else PLAIN
            right: Row = [(f"{number(station.number)}  {where:<8}", PLAIN)]
            rows.append(spread([(mark + name(station, width - 24), style)], right, width))
        rows += [[] for _ in range(_SHOWN - len(found[first : first + _SHOWN]))]
        rows.append([(f"{len(found)} of {len(app.state.stations)} stations", PLAIN)])
        return rows

    def on_key_pressed(self, key: str, character: str | None) -> None:
        if key in {"up", "down"}:
            self._chosen += 1 if key == "down" else -1
        elif key == "enter":
            found = self.found()
            if found:
                self.close()
                self.station_app.choose(found[max(min(self._chosen, len(found) - 1), 0)])
        else:
            super().on_key_pressed(key, character)
