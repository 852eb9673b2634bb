"""What the API tells, every field at its plainest; tests vary it with `dataclasses.replace`."""

from appliance.api.schema import CallInfo, MeshNode, WallTime
from appliance.api.storage import Removed, Storage, StorageClass

CALL = CallInfo(
    id="c1",
    station="",
    line="console",
    name="",
    outgoing=False,
    state="",
    end_reason=None,
    detail="",
    started_at=WallTime(1_700_000_000_000, sure=True),
    talking_s=None,
    muted=False,
    volume_pct=100,
    problems=(),
    quality="none",
    loss_pct=0.0,
    level_in_db=-60.0,
    level_out_db=-60.0,
    digits=None,
    verification=None,
)
"""A call in which nothing is heard yet; whose, and in what state, is for the test to say."""

OUR_NODE = MeshNode(
    address="",
    station=None,
    name="",
    tag="",
    trust="",
    us=True,
    reachable=True,
    hops=0,
    metric=0,
    via=None,
    asked="answered",
    strangers=0,
)
"""Ourselves in the picture of the mesh; who that is, is for the test to say."""

STORAGE = Storage(
    classes=(StorageClass("messages", 3, 250_000_000, 200_000, 256_000_000),),
    file_bytes=260_000_000,
    disk_free_bytes=1_000_000_000,
    removed=(Removed("", "clinic", 37, 2, WallTime(1_700_000_000_000, sure=False)),),
    removed_records=37,
)
"""A store in which messages had to make room."""
