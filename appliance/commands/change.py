"""Setting things: name, peer, sound."""

from __future__ import annotations

import argparse

from appliance.api.client import Client
from appliance.api.schema import SoundSettings
from appliance.commands import exits
from appliance.commands.output import Failure, Output, label, visible
from appliance.commands.session import command


@command
async def name(client: Client, out: Output, args: argparse.Namespace) -> int:
    """Show or choose our name."""
    now = await (client.set_name(" ".join(args.name)) if args.name else client.status())
    out.json(now)
    out.line(visible(now.name))
    return exits.OK


def parse_host(text: str) -> tuple[str, int | None]:
    """Split HOST, HOST:PORT, [IPV6] and [IPV6]:PORT; an IPv6 address alone needs no brackets."""
    usage = "Give it as HOST, HOST:PORT or [IPV6]:PORT."
    host, port = text, ""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise Failure(f"{text} is no address.", usage, code=exits.USAGE)
        port = rest[1:]
        has_port = bool(rest)
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
        has_port = True
    else:
        has_port = False
    if not host:
        raise Failure(f"{text or 'An empty text'} is no address.", usage, code=exits.USAGE)
    if not has_port:
        return host, None
    if not (port.isascii() and port.isdigit() and 0 < int(port[:6]) < 65_536):
        raise Failure(f"{port or 'Nothing'} is no port.", usage, code=exits.USAGE)
    return host, int(port)


@command
async def peer(client: Client, out: Output, args: argparse.Namespace) -> int:
    """Connect to a station by its network address."""
    host, port = parse_host(args.host)
    station = await client.add_peer(host, port, timeout_s=args.timeout)
    out.json(station)
    out.line(f"Connected: {label(station)}")
    return exits.OK


@command
async def sound(client: Client, out: Output, args: argparse.Namespace) -> int:
    """Show, choose or try sound devices."""
    settings = await client.sound()
    if any(chosen is not None for chosen in (args.input, args.output, args.handset, args.talk_key)):
        settings = await client.set_sound(
            input_device=_device(args.input, settings.input),
            output_device=_device(args.output, settings.output),
            handset=None if args.handset is None else args.handset == "yes",
            talk_key="" if args.talk_key == "none" else args.talk_key,
        )
    if args.test:
        out.note("Speak now, for two seconds…")
        heard = await client.test_sound()
        out.json(heard)
        out.line(visible(heard.text))
        return exits.OK if heard.output_ok and heard.input_db is not None else exits.FAILED
    out.json(settings)
    for title, names, chosen in (
        ("Microphones", settings.inputs, settings.input),
        ("Speakers", settings.outputs, settings.output),
    ):
        out.line(f"{title}:")
        out.line(f"  {'*' if chosen is None else ' '} default")
        for device in names:
            out.line(f"  {'*' if chosen == device else ' '} {visible(device)}")
    out.line(f"Echo: {visible(echo_words(settings))}")
    key = settings.talk_key or f"none (one of: {', '.join(settings.talk_keys)})"
    out.line(f"Talk key: {visible(key)}")
    return exits.OK


def echo_words(settings: SoundSettings) -> str:
    """What is done about echo."""
    if settings.handset:
        return "a handset has none, so the sound stays as it is"
    return settings.echo if settings.echo.endswith(".") else "removed"


def _device(asked: str | None, now: str | None) -> str | None:
    if asked is None:
        return now
    return None if asked == "default" else asked
