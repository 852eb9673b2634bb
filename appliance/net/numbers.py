"""Numbers by which what is ours is told from what is the operator's."""

from __future__ import annotations

from typing import Final

ROUTE_TABLE: Final = 189
"""Routing table that babeld fills; the operator's own tables are left alone.  babeld keeps no more
than the lowest eight bits of a table's number: 18950 would be table 6."""

DETOUR_TABLE: Final = 190
"""Routing table of ways around a neighbour that leads to an impostor."""

RULE_OWN_NETWORKS: Final = 18949
"""Priority of the rule that lets the operator's own networks go first: the main table, without its
default route."""

RULE_DETOURS: Final = 18950
"""Priority of the rule that sends fd00::/8 to the detours."""

RULE_ROUTES: Final = 18951
"""Priority of the rule that sends fd00::/8 to babeld's table."""

MESH_NETWORK: Final = "fd00::/8"
"""Where all stations' addresses are (RFC 4193)."""
