"""Starts the daemon and keeps it running until it is told to stop."""

from __future__ import annotations

import asyncio
import errno
import gc
import logging
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random
from typing import Final

from appliance.adapters.blobs import Blobs
from appliance.adapters.prekey_files import PrekeyFiles, latest_s
from appliance.adapters.service_manager import notify, notify_alive, watchdog_interval_s
from appliance.adapters.sessions import ANY_HOST, DEFAULT_PORT, Hooks, Sessions
from appliance.api.event_log import EventLog
from appliance.api.paths import trouble_path
from appliance.api.schema import Problem
from appliance.api.server import ApiServer, SocketError
from appliance.daemon import namefile
from appliance.daemon.announcer import DISK, Announcer
from appliance.daemon.backend import DaemonBackend
from appliance.daemon.call_note import CallNote, note_path
from appliance.daemon.keyfile import KeyFileError, load_or_make
from appliance.daemon.runtime import Runtime
from appliance.daemon.settings import Settings
from appliance.daemon.store_health import (
    DAMAGED,
    can_mend,
    mended,
    open_store,
    until,
    until_damaged,
)
from appliance.daemon.timekeeper import Timekeeper
from appliance.model.identity import StationKey
from appliance.model.record import BOOT_SIZE
from appliance.node.active_call import RING_S
from appliance.node.beginnings import Identity, Memory
from appliance.node.own_card import CARD_VALUE, RESTORED_VALUE, highest_order
from appliance.node.ports import GetMessages, GetStations, GetValue, StoreError
from appliance.node.ports.carrying import GetCargo
from appliance.node.ports.grouping import GetGroups
from appliance.node.prekeys import Prekeys
from appliance.node.station import Station
from appliance.node.talk_channels import TALK_VALUE

log = logging.getLogger(__name__)

STORE_NAME: Final = "station.db"
EXIT_FAILED: Final = 1


class StartError(Exception):
    """The daemon can't start; the message says why and what to do."""


def run_daemon(
    *,
    state: Path,
    api: Path,
    port: int | None = None,
    hosts: tuple[str, ...] = (),
    interfaces: tuple[str, ...] = (),
    ring_s: float | None = None,
    log_level: str = "info",
) -> int:
    """Run the daemon; returns an exit code.

    `port` None: the usual one, or any free one where that is taken.  `hosts`: addresses on which to
    take sessions; none: all.  `interfaces`: where to look for others; none: wherever it is usable.
    `ring_s`: how long it rings here before the caller hears that nobody answers; None: as usual.
    """
    logging.basicConfig(
        level=log_level.upper(),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    logging.getLogger("aiohttp").setLevel(logging.ERROR)
    os.umask(0o077)
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        hosts = hosts or ANY_HOST
        serve = partial(
            _serve, state, api, port=port, hosts=hosts, interfaces=interfaces, ring_s=ring_s
        )
        while asyncio.run(serve()):
            log.warning("starting anew, to mend the store")
        trouble_path(api).unlink(missing_ok=True)
    except SocketError as error:
        log.error("%s", error)  # Who has the socket is not to be spoken for.
        return EXIT_FAILED
    except (KeyFileError, StoreError, StartError) as error:
        return _failed(str(error), api)
    except OSError as error:
        return _failed(f"The daemon can't start: {error}.", api)
    return 0


def _failed(reason: str, api: Path) -> int:
    """Say why there is no daemon, in the log and to clients that look for one."""
    log.error("%s", reason)
    try:
        trouble_path(api).write_text(reason)
    except OSError as error:
        log.warning("Clients will not hear of it: %s", error)
    return EXIT_FAILED


async def _serve(
    state: Path,
    api: Path,
    *,
    port: int | None,
    hosts: tuple[str, ...],
    interfaces: tuple[str, ...],
    ring_s: float | None,
) -> bool:
    """Run until told to stop; returns whether to start anew."""
    stopping, anew = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    # The store's lock comes first: two daemons on one state directory would be one station twice.
    store = await open_store(state / STORE_NAME)
    try:
        key = load_or_make(state)
        settings = Settings(store, state, os.urandom(BOOT_SIZE))
        announcer = Announcer(EventLog(settings.boot.hex()))
        runtime = await _build(
            key, settings, announcer, Blobs(state / "blobs"), CallNote(note_path(api))
        )
        if ring_s is not None:
            runtime.station.calls.ring_s = min(ring_s, RING_S)
        backend = DaemonBackend(runtime, announcer, settings)
        await announcer.load()
    except BaseException:
        await store.close()
        raise
    server = ApiServer(backend, api)
    failed: list[BaseException] = []
    try:
        await _listen(runtime, announcer, port, hosts)
        await server.start()
        trouble_path(api).unlink(missing_ok=True)
        loop.set_exception_handler(_stop_on_failure(failed, stopping))
        await _begin(runtime, announcer, settings, interfaces)
        runtime.spawn(_watch_store(runtime, announcer, state / STORE_NAME, anew, stopping))
        notify("READY=1")
        log.info("%s ·%s is ready", runtime.station.name, runtime.station.id.tag)
        await _until(stopping)
        notify("STOPPING=1")
    finally:
        await server.stop()
        await runtime.stop()
    if failed:
        raise StartError("A part of the daemon failed; the log above says which.")
    return anew.is_set()


async def _build(
    key: StationKey,
    settings: Settings,
    announcer: Announcer,
    blobs: Blobs,
    call_note: CallNote | None = None,
) -> Runtime:
    store = settings.store
    files = PrekeyFiles(settings.directory)
    had_prekeys = files.folder.exists()
    kept = await settings.prekeys(files)
    latest = await store.perform(GetMessages(None, True, None, 1))
    card = await store.perform(GetValue(CARD_VALUE))
    # Without its card but with prekeys, the store was lost: how far it had counted, nobody knows.
    lost = card is None and had_prekeys
    restored = lost or await store.perform(GetValue(RESTORED_VALUE)) is not None
    station = Station(
        Identity(key, settings.boot, Prekeys(kept, os.urandom)),
        Memory(
            stations=await store.perform(GetStations()),
            highest_order=highest_order(latest[-1].order if latest else 0, card, restored=restored),
            card=card,
            cargo=await store.perform(GetCargo()),
            groups=await store.perform(GetGroups()),
            talk=await store.perform(GetValue(TALK_VALUE)),
            restored=restored,
        ),
        random=Random().random,  # noqa: S311 (jitter only)
        random_bytes=os.urandom,
    )

    def make_sessions(hooks: Hooks) -> Sessions:
        return Sessions(key, boot=settings.boot, blobs=blobs, hooks=hooks)

    # What the store has forgotten of it, if it was damaged, the prekeys know.
    timekeeper = Timekeeper(max(await settings.awake_s(), latest_s(kept)))
    return Runtime(
        station,
        store,
        timekeeper,
        files,
        blobs,
        watcher=announcer,
        make_sessions=make_sessions,
        call_note=call_note or CallNote(None),
    )


async def _listen(
    runtime: Runtime, announcer: Announcer, port: int | None, hosts: tuple[str, ...]
) -> None:
    try:
        await runtime.sessions.listen(DEFAULT_PORT if port is None else port, hosts)
    except OSError as error:
        if port is not None or error.errno != errno.EADDRINUSE:
            raise StartError(
                f"Sessions can't be taken on port {port or DEFAULT_PORT}: {error.strerror}. "
                "Choose another one with --port."
            ) from None
        await runtime.sessions.listen(0, hosts)
        announcer.raise_problem(
            Problem(
                "port",
                f"Port {DEFAULT_PORT} is in use; sessions are taken on {runtime.sessions.port}.",
                "Others find it by themselves. For `fencewire peer` they have to give the port.",
            )
        )


def _name_from_before(station: Station, directory: Path) -> str | None:
    """Have our name stand beside our key too; return it where the store has lost it."""
    if station.card.raw is None:
        return namefile.load(directory, station.id)
    namefile.keep(directory, station.id, station.name)
    return None


def _take_name(runtime: Runtime, name: str) -> None:
    def failed(why: str) -> None:
        log.warning("the station's name could not be taken again: %s", why)

    now = runtime.time.now()
    runtime.carry_out(runtime.station.set_name(name, now, done=lambda: None, failed=failed))


async def _begin(
    runtime: Runtime, announcer: Announcer, settings: Settings, interfaces: tuple[str, ...]
) -> None:
    devices = await settings.devices()
    if devices is not None:
        runtime.sound.command(devices)
    name = _name_from_before(runtime.station, settings.directory)
    await runtime.start(boot=settings.boot, interfaces=interfaces)
    if name is not None:
        _take_name(runtime, name)
    await announcer.remind()
    now = runtime.time.now().monotonic
    for host, peer_port in await settings.addresses():
        runtime.carry_out(runtime.station.peers.add_address(host, peer_port, now))
    # What was loaded by now lives as long as the daemon; looking through it again costs a pause.
    gc.collect()
    gc.freeze()


async def _watch_store(
    runtime: Runtime,
    announcer: Announcer,
    path: Path,
    anew: asyncio.Event,
    stopping: asyncio.Event,
) -> None:
    """Say what became of a damaged store, and start anew, outside calls, when damage is found."""
    problem = mended(path)
    if problem is not None:
        announcer.raise_problem(problem)
    await until_damaged(path, troubled=lambda: DISK in announcer.problems)
    announcer.raise_problem(DAMAGED)
    await until(lambda: can_mend(path) and not runtime.station.calls.active)
    anew.set()
    stopping.set()


async def _until(stopping: asyncio.Event) -> None:
    interval = watchdog_interval_s()
    while not stopping.is_set():
        try:
            async with asyncio.timeout(interval):
                await stopping.wait()
        except TimeoutError:
            notify_alive()


def _stop_on_failure(
    failed: list[BaseException], stopping: asyncio.Event
) -> Callable[[asyncio.AbstractEventLoop, dict[str, object]], None]:
    """A part that fails unexpectedly ends the daemon: who started it will start it afresh."""

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        error = context.get("exception")
        if context.get("message") == "part failed" and isinstance(error, BaseException):
            failed.append(error)
            stopping.set()
        else:
            loop.default_exception_handler(context)

    return handle
