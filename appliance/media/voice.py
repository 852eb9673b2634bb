"""Both directions of a voice, once, before they are needed."""

from __future__ import annotations

from appliance.adapters.srtp import AES_GCM, new_key
from appliance.media.pcm import SILENCE
from appliance.media.receiver import Receiver
from appliance.media.sender import Sender
from appliance.protocol.adaptation import Takes
from appliance.protocol.jitter import FRAME_S


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
