"""Both directions of a voice, as a command wants them."""

from __future__ import annotations

from appliance.adapters.srtp import AES_GCM, new_key
from appliance.media.pcm import SILENCE
from appliance.media.receiver import Receiver
from appliance.media.sender import Sender
from appliance.model.media import StartStream
from appliance.protocol.adaptation import Takes
from appliance.protocol.jitter import FRAME_S


def _takes(command: StartStream) -> Takes:
    return Takes(
        red=command.red_payload_type is not None,
        dtx=command.dtx,
        max_frame_ms=command.max_frame_ms,
    )


def begin(command: StartStream) -> tuple[Sender, Receiver]:
    """Raises `SrtpError`, `OpusError`."""
    sender = Sender(
        command.crypto_suite,
        command.send_key,
        command.payload_type,
        red_payload_type=command.red_payload_type,
        takes=_takes(command),
        link_bit_s=command.link_bit_s,
    )
    receiver = Receiver(
        command.crypto_suite,
        command.receive_key,
        command.payload_type,
        red_payload_type=command.red_payload_type,
    )
    return sender, receiver


def change(sender: Sender, receiver: Receiver, command: StartStream, now: float) -> None:
    """Go on under other keys; raises `SrtpError`, `OpusError`."""
    sender.rekey(
        command.crypto_suite,
        command.send_key,
        command.payload_type,
        red_payload_type=command.red_payload_type,
        takes=_takes(command),
    )
    receiver.rekey(
        command.crypto_suite,
        command.receive_key,
        command.payload_type,
        now,
        red_payload_type=command.red_payload_type,
    )


def warm_up() -> None:
    """Touch all that a call needs, so that the first frames of the first call are on time."""
    key = new_key(AES_GCM)
    sender = Sender(AES_GCM, key, 96, red_payload_type=97, takes=Takes(red=True))
    receiver = Receiver(AES_GCM, key, 96, red_payload_type=97)
    for beat in range(10):
        packet = sender.frame(SILENCE, beat * FRAME_S)
        if packet is not None:
            receiver.datagram(packet, beat * FRAME_S)
        receiver.frame(beat * FRAME_S)
    report, _ = sender.report(receiver.report_blocks(1.0), receiver.losses(), 1.0)
    receiver.datagram(report, 1.0)
