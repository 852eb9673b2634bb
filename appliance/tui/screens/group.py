"""Groups: making one, who is in, who comes and goes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from appliance.api.groups import Group, GroupMember
from appliance.tui import views
from appliance.tui.dialogs import Area, Item, ListDialog, PromptDialog, paragraphs
from appliance.tui.editor import filled
from appliance.tui.keybar import Hint
from appliance.tui.look import BOLD, INVERSE, PLAIN
from appliance.tui.pane import Row, spread
from appliance.tui.screens.find import matches
from appliance.tui.text import plain_name
from appliance.tui.wording import name, presence

_SHOWN = 10


class GroupsDialog(ListDialog):
    """All groups, and a new one."""

    title = "Groups"

    def wanted_width(self, area: Area) -> int:
        return min(area.width - 4, 60)

    def items(self) -> list[Item]:
        app = self.station_app
        make = Item("Make a new group", lambda: app.main.open_dialog(GroupNamePrompt()))
        return [make, *(self._item(one) for one in app.state.groups.values())]

    def _item(self, group: Group) -> Item:
        words = f"{views.title_of(self.station_app.state, group.id)}  {views.group_words(group)}"
        return Item(words, lambda: self._open(group))

    def _open(self, group: Group) -> None:
        self.station_app.choose(group.id)
        self.station_app.main.open_dialog(GroupDialog(group.id))


class GroupNamePrompt(PromptDialog):
    """The name of a new group, or another one for a group."""

    title = "Name of the group"
    question = "What should the group be called? Up to 40 characters."
    enter_label = "go on"

    def __init__(self, group: Group | None = None) -> None:
        super().__init__(filled(group.name) if group is not None else None)
        self._group = group

    def accept(self, text: str) -> None:
        app = self.station_app
        if self._group is not None:
            app.groups.rename(self._group, text)
        else:
            pick = PickStations("Who is in it?", "make it", lambda who: app.groups.make(text, who))
            app.main.open_dialog(pick)


class PickStations(PromptDialog):
    """Some of the stations: Enter marks one, the first line is done."""

    question = "Choose with Up, Down and Enter; type a part of a name to find it."

    def __init__(
        self,
        title: str,
        done: str,
        take: Callable[[Sequence[str]], None],
        without: frozenset[str] = frozenset(),
    ) -> None:
        super().__init__()
        self.title = title
        self._done = done
        self._take = take
        self._without = without
        self._marked: list[str] = []
        self._chosen = 1

    def hints(self) -> list[Hint]:
        return [Hint("Up/Down", "move"), Hint("Enter", "mark"), Hint("Esc", "cancel")]

    def found(self) -> list[str]:
        """Return the stations that fit what is typed."""
        state = self.station_app.state
        listed = (state.stations[key] for key in state.listed if key in state.stations)
        fits = [one for one in listed if matches(one, self.editor.text)]
        return [one.id for one in fits if one.id not in self._without]

    def body(self, width: int) -> list[Row]:
        app = self.station_app
        found = self.found()
        self._chosen = max(min(self._chosen, len(found)), 0)
        first = max(self._chosen - _SHOWN, 0)
        style = INVERSE if self._chosen == 0 else BOLD
        mark = ">" if self._chosen == 0 else " "
        rows: list[Row] = [*super().body(width), []]
        rows.append([(f"{mark}{self._done}: {len(self._marked)} chosen", style)])
        for place, key in enumerate(found[first : first + _SHOWN], first + 1):
            station = app.state.stations[key]
            where = presence(station, views.away_s(app.state, station, app.now_s()))
            style = INVERSE if place == self._chosen else PLAIN
            box = "[x]" if key in self._marked else "[ ]"
            text = f"{'>' if place == self._chosen else ' '}{box} {name(station, width - 16)}"
            rows.append(spread([(text, style)], [(f" {where:<8}", PLAIN)], width))
        return rows + [[] for _ in range(_SHOWN - len(found[first : first + _SHOWN]))]

    def on_key_pressed(self, key: str, character: str | None) -> None:
        if key in {"up", "down"}:
            step = 1 if key == "down" else -1
            self._chosen = max(min(self._chosen + step, len(self.found())), 0)
        elif key == "enter":
            self._enter()
        else:
            super().on_key_pressed(key, character)
            self._chosen = max(self._chosen, 1)

    def _enter(self) -> None:
        if self._chosen == 0:
            self.close()
            self._take(tuple(self._marked))
            return
        found = self.found()
        if not found:
            return
        key = found[min(self._chosen, len(found)) - 1]
        if key in self._marked:
            self._marked.remove(key)
        else:
            self._marked.append(key)


class GroupDialog(ListDialog):
    """One group."""

    def __init__(self, group: str) -> None:
        super().__init__()
        self._id = group

    @property
    def group(self) -> Group | None:
        """The group as it is now."""
        return self.station_app.state.groups.get(self._id)

    def heading(self) -> str:
        return views.title_of(self.station_app.state, self._id)

    def intro(self, width: int) -> list[Row]:
        group = self.group
        if group is None:
            return []
        state = self.station_app.state
        by = views.station_name(state, group.invited_by) if group.invited_by else "Somebody"
        words = {
            "member": f"{len(group.members)} members. You may change it."
            if group.admin
            else f"{len(group.members)} members.",
            "invited": f"{by} invites you. {len(group.members)} members. Do you want to be in it?",
            "left": "You have left this group. What was written before can still be read.",
            "removed": "You were taken out of this group. What was written before can be read.",
        }[group.state]
        return [*paragraphs(words, width), []]

    def items(self) -> list[Item]:
        group, app = self.group, self.station_app
        if group is None:
            return []
        members = Item("Who is in it", lambda: app.main.open_dialog(MembersDialog(group.id)))
        if group.state == "invited":
            return [
                Item("Not now", lambda: None),
                Item("Yes, join", lambda: app.groups.accept(group)),
                Item("No, decline", lambda: app.groups.decline(group)),
                members,
            ]
        if group.state != "member":
            return [Item("Back", lambda: None)]
        items = [members]
        if group.admin:
            items += [
                Item("Bring somebody in", lambda: self._invite(group)),
                Item("Rename it", lambda: app.main.open_dialog(GroupNamePrompt(group))),
                self._history(group),
            ]
        return [*items, Item("Leave it (asks)", lambda: app.main.open_dialog(LeaveGroup(group)))]

    def _history(self, group: Group) -> Item:
        groups = self.station_app.groups
        if group.history == "all":
            words = "New members get: older messages too. Change that"
            return Item(words, lambda: groups.choose_history(group, "none"))
        words = "New members get: nothing older. Change that"
        return Item(words, lambda: groups.choose_history(group, "all"))

    def _invite(self, group: Group) -> None:
        app = self.station_app
        inside = frozenset(one.id for one in group.members)

        def take(who: Sequence[str]) -> None:
            app.groups.invite(group, who)

        app.main.open_dialog(PickStations("Bring in", "bring them in", take, inside))


class LeaveGroup(ListDialog):
    """Asks first."""

    title = "Leave the group?"

    def __init__(self, group: Group) -> None:
        super().__init__()
        self._group = group

    def items(self) -> list[Item]:
        leave = Item("Leave", lambda: self.station_app.groups.leave(self._group))
        return [Item("Stay", lambda: None), leave]


class MembersDialog(ListDialog):
    """Who is in a group."""

    title = "Who is in it"

    def __init__(self, group: str) -> None:
        super().__init__()
        self._id = group

    def items(self) -> list[Item]:
        group = self.station_app.state.groups.get(self._id)
        return [self._item(group, one) for one in group.members] if group is not None else []

    def _item(self, group: Group, member: GroupMember) -> Item:
        app = self.station_app
        state = app.state
        who = views.station_name(state, member.id, plain_name(member.name))
        role = "  (may change the group)" if member.admin else ""
        return Item(f"{who}{role}", lambda: app.main.open_dialog(MemberDialog(group, member, who)))


class MemberDialog(ListDialog):
    """One member."""

    def __init__(self, group: Group, member: GroupMember, who: str) -> None:
        super().__init__()
        self.title = who
        self._group = group
        self._member = member

    def items(self) -> list[Item]:
        app = self.station_app
        group, key = self._group, self._member.id
        items: list[Item] = []
        if key in app.state.stations:
            items.append(Item("Write to them alone", lambda: app.choose(key)))
        us = app.state.status is not None and key == app.state.status.id
        if group.admin and group.state == "member" and not us:
            if not self._member.admin:
                appoint = "Let them change the group too"
                items.append(Item(appoint, lambda: app.groups.appoint(group, key)))
            remove = "Take them out of the group"
            items.append(Item(remove, lambda: app.groups.remove(group, key)))
        return [*items, Item("Back", lambda: None)]
