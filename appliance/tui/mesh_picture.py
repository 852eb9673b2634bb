"""The mesh drawn with characters that every console has, as rows of pieces.

Where it fits the tree grows to the right, else downwards; where there are too many stations for a
picture they stand in a list.  Used by the network screen and by `fencewire mesh`.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, TypeAlias

from appliance.api.schema import Mesh, MeshEdge, MeshNode
from appliance.tui.mesh_tree import Branch, Tree, grow
from appliance.tui.text import cells, fit, pad, plain_name
from appliance.tui.wording import RESERVED_NAMES

MAX_DRAWN: Final = 26
"""Stations in a picture, ourselves among them; more of them are a list."""

MAX_LISTED: Final = 500
MAX_TOLD: Final = 8
"""Sentences of one kind below the picture."""

NAME_CELLS: Final = (40, 16, 12)
"""Room for a name, from the best to what still tells them apart."""

DOWNWARDS_NAME_CELLS: Final = 24


class Ink(Enum):
    """What a piece is; none of them says anything that its text does not."""

    LINE = "line"
    """A line between stations."""

    NAME = "name"
    """A station."""

    CHOSEN = "chosen"
    """The station that is looked at; its text has a mark too."""

    TEXT = "text"
    """Words."""


Piece: TypeAlias = tuple[str, Ink]
PictureRow: TypeAlias = list[Piece]

_KINDS: Final = {"ethernet": "wire", "cable": "cable", "radio": "radio", "tunnel": "tunnel"}


def kind_word(kind: str) -> str:
    """Return what a link is made of, in a word."""
    return _KINDS.get(kind, "link")


def worst_loss(edge: MeshEdge) -> int | None:
    """Return the loss in the worse direction, as far as it is known."""
    known = [one for one in (edge.loss_ab_pct, edge.loss_ba_pct) if one is not None]
    return max(known, default=None)


def edge_word(edge: MeshEdge | None, hops: int | None = None) -> str:
    """Return what stands on a line: our interface or the kind, loss, and a mark of doubt."""
    if edge is None:
        return f"..{hops} hops.." if hops and hops > 1 else "...."
    word = plain_name(edge.interface) if edge.interface else kind_word(edge.kind)
    loss = worst_loss(edge)
    words = f"{word} {loss}%" if loss else word
    return f"{words}?" if edge.seen_by == "one" else words


def _box(branch: Branch, chosen: str | None, width: int) -> Piece:
    """Return a station in its box."""
    node = branch.node
    here = node.station is not None and node.station == chosen
    shown = f">{mesh_name(node, width)}" if here else mesh_name(node, width)
    ink = Ink.CHOSEN if here else Ink.NAME
    return (f"[{shown}]", ink) if node.reachable else (f"({shown})", ink)


def mesh_name(node: MeshNode, width: int = 40) -> str:
    """Return a station's name, its tag unless it is verified, or the end of its address."""
    if node.us:
        return "you"
    if node.station is None:
        return f"unknown ..{node.address[-4:]}"
    shown = plain_name(node.name)
    reserved = shown.casefold() in RESERVED_NAMES
    tail = f"?·{node.tag}" if node.trust != "verified" else f"·{node.tag}" if reserved else ""
    return fit(shown, max(width - cells(tail), 1)) + tail


def draw(mesh: Mesh, width: int, chosen: str | None = None) -> list[PictureRow]:
    """Return the picture, or the list, and below it what neither can show.

    `chosen` is the id of the station that is looked at.
    """
    tree = grow(mesh, mesh_name)
    if tree is None:
        return []
    if len(mesh.nodes) > MAX_DRAWN:
        rows = _listed(tree, chosen, width)
    else:
        rows = _rightwards(tree.root, chosen, width) or _downwards(tree.root, chosen, width)
    return [*rows, *_told(mesh, tree, width)]


# -- To the right


class _Sheet:
    """Rows on which pieces are put at columns."""

    def __init__(self, chosen: str | None, room: int, width: int) -> None:
        self.chosen, self.room, self.width = chosen, room, width
        self.rows: list[list[tuple[int, Piece]]] = []

    def put(self, row: int, column: int, piece: Piece) -> None:
        while len(self.rows) <= row:
            self.rows.append([])
        self.rows[row].append((column, piece))

    def read(self) -> list[PictureRow]:
        out: list[PictureRow] = []
        for row in self.rows:
            line: PictureRow = []
            at = 0
            for column, piece in sorted(row, key=lambda one: one[0]):
                line += [(" " * (column - at), Ink.TEXT), piece]
                at = column + cells(piece[0])
            out.append(line)
        return out


def _rightwards(root: Branch, chosen: str | None, width: int) -> list[PictureRow]:
    """Return the tree growing to the right; nothing where it is too wide."""
    for room in NAME_CELLS:
        sheet = _Sheet(chosen, room, width)
        if _place(sheet, root, row=0, column=1) is not None:
            return sheet.read()
    return []


def _place(sheet: _Sheet, branch: Branch, *, row: int, column: int) -> int | None:
    """Put a station and all behind it; return the row after them, or None: it is too wide."""
    box = _box(branch, sheet.chosen, sheet.room)
    after = column + cells(box[0])
    if after > sheet.width:
        return None
    sheet.put(row, column, box)
    words = [edge_word(child.edge, child.node.hops) for child in branch.children]
    longest = max((cells(word) for word in words), default=0)
    stem = column + 2
    hung_at = row
    for place, (child, word) in enumerate(zip(branch.children, words, strict=True)):
        line = "─" * (longest - cells(word) + 2) + word + "──"
        if place == 0:
            sheet.put(row, after, (line, Ink.LINE))
            at = row
        else:
            for between in range(hung_at + 1, at):
                sheet.put(between, stem, ("│", Ink.LINE))
            if hung_at != row:
                _fork(sheet, hung_at, stem)
            hung_at = at
            sheet.put(at, stem, (f"└{'─' * (after - stem - 1)}{line}", Ink.LINE))
        following = _place(sheet, child, row=at, column=after + longest + 4)
        if following is None:
            return None
        at = following
    return at if branch.children else row + 1


def _fork(sheet: _Sheet, row: int, column: int) -> None:
    """Let a line that ended in a corner go on downwards."""
    for place, (at, (text, ink)) in enumerate(sheet.rows[row]):
        if at == column and text.startswith("└"):
            sheet.rows[row][place] = (at, (f"├{text[1:]}", ink))


# -- Downwards


def _downwards(root: Branch, chosen: str | None, width: int) -> list[PictureRow]:
    rows: list[PictureRow] = [[(" ", Ink.TEXT), _box(root, chosen, DOWNWARDS_NAME_CELLS)]]
    stack = [(child, "  ", place) for place, child in _numbered(root)]
    while stack:
        branch, stem, left = stack.pop()
        corner, trunk = ("├", "│  ") if left else ("└", "   ")
        word = edge_word(branch.edge, branch.node.hops)
        # Chains beyond what the screen is wide go on at its right edge, their order is their depth.
        shown = stem[-max(width - DOWNWARDS_NAME_CELLS - 24, 12) :]
        line = f"{shown}{corner}─{word}──"
        rows.append([(line, Ink.LINE), _box(branch, chosen, DOWNWARDS_NAME_CELLS)])
        stack += [(child, stem + trunk, place) for place, child in _numbered(branch)]
    return rows


def _numbered(branch: Branch) -> list[tuple[int, Branch]]:
    """Return the children last first, each with how many come after it."""
    return list(enumerate(reversed(branch.children)))


# -- As a list


def _listed(tree: Tree, chosen: str | None, width: int) -> list[PictureRow]:
    found: list[tuple[int, str, Branch, Branch]] = []
    stack = [(child, tree.root, 1) for child in tree.root.children]
    while stack:
        branch, above, depth = stack.pop()
        hops = branch.node.hops or depth
        found.append((hops, branch.label.casefold(), branch, above))
        stack += [(child, branch, depth + 1) for child in branch.children]
    found.sort(key=lambda one: (one[0], one[1], one[2].node.address))
    rows: list[PictureRow] = []
    for hops, _, branch, above in found[:MAX_LISTED]:
        far = "1 hop" if hops == 1 else f"{hops} hops"
        text, ink = _box(branch, chosen, DOWNWARDS_NAME_CELLS)
        way = edge_word(branch.edge) if branch.edge else ""
        behind = "" if above.node.us else f"{'from' if branch.edge else 'over'} {above.label}"
        rows.append(
            [
                (f" {far:<8}", Ink.TEXT),
                (pad(text, DOWNWARDS_NAME_CELLS + 4), ink),
                (fit(" ".join(("", *filter(None, (way, behind)))), width - 38), Ink.TEXT),
            ]
        )
    if len(found) > MAX_LISTED:
        rows.append([(f" and {len(found) - MAX_LISTED} more", Ink.TEXT)])
    return rows


# -- What else there is to say


def _told(mesh: Mesh, tree: Tree, width: int) -> list[PictureRow]:
    by_address = {one.address: mesh_name(one, 24) for one in mesh.nodes}

    def joined(edge: MeshEdge) -> str:
        return f"[{by_address[edge.a]}]─{edge_word(edge)}─[{by_address[edge.b]}]"

    out = _flow("Also joined:", [joined(edge) for edge in tree.across], width - 1)
    groups = [", ".join(by_address[one] for one in group) for group in tree.groups]
    out += _some([f"All hear each other: {group}" for group in groups], "groups")
    denied = [
        f"{by_address[one.a]} says that it hears {by_address[one.b]}, which says that it does not."
        for one in tree.denied
    ]
    out += _some(denied, "links")
    strangers = [
        f"{by_address[one.address]} names {one.strangers} that nobody else knows."
        for one in mesh.nodes
        if one.strangers
    ]
    out += _some(strangers, "stations")
    if any(one.seen_by == "one" for one in mesh.edges):
        out.append("? after a link: only one of its ends was heard.")
    if any(not one.reachable for one in mesh.nodes):
        out.append("( ): others reach it, this station does not; messages to it may hop.")
    if mesh.waiting:
        out.append(f"Still asking {mesh.waiting} of them for their links...")
    if mesh.not_asked:
        out.append(f"{mesh.not_asked} farther ones were not asked for their links.")
    return [[(f" {fit(line, width - 1)}", Ink.TEXT)] for line in out]


def _flow(title: str, words: list[str], width: int) -> list[str]:
    """Return words one after another, on at most `MAX_TOLD` lines."""
    lines = [title] if words else []
    for place, word in enumerate(words):
        if cells(lines[-1]) + cells(word) + 2 > width:
            if len(lines) == MAX_TOLD:
                return [*lines, f"  and {len(words) - place} more"]
            lines.append(" ")
        lines[-1] += f" {word}"
    return lines


def _some(lines: list[str], what: str) -> list[str]:
    more = len(lines) - MAX_TOLD
    return [*lines[:MAX_TOLD], f" and {more} more {what}"] if more > 0 else lines
