"""The station's store: the operations of `node.ports` on SQLite, and the thread that commits them.

`Store` is what others use.  What an operation means is in `messages`, `outbox` and `stations`;
when it is on disk is in `worker`; which file it is, and whether it is sound, is in `database`.
"""

from appliance.adapters.store.store import Store

__all__ = ["Store"]
