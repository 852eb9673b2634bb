"""The figures of a voice in both directions."""

from __future__ import annotations

from appliance.media.pcm import SILENT_DB
from appliance.media.receiver import Receiver
from appliance.media.sender import Sender
from appliance.model.stream_stats import StreamStats
from appliance.protocol.adaptation import Reason
from appliance.protocol.opus_packet import CLOCK_HZ


def voice_stats(
    stream: str, sender: Sender, receiver: Receiver, now: float, dropped: int = 0
) -> StreamStats:
    """What both ends of our side know; levels and lateness are the stream's to add.

    ``dropped``: packets that the kernel dropped in a flood.
    """
    decision, round_trip_s = sender.decision, sender.round_trip_s
    buffer, became = receiver.buffer, receiver.figures
    reception = buffer.reception
    return StreamStats(
        stream=stream,
        loss_pct=reception.loss_pct(now=now, late=buffer.late),
        jitter_ms=reception.jitter_s * 1000,
        buffer_ms=buffer.buffered_s * 1000,
        level_in_db=SILENT_DB,
        level_out_db=receiver.level_db,
        packets_sent=sender.packets,
        packets_received=receiver.packets,
        concealed=became.concealed,
        rejected=receiver.rejected + dropped,
        late_max_ms=0.0,
        recovered=became.recovered,
        loss_there_pct=sender.loss_pct,
        round_trip_ms=None if round_trip_s is None else round_trip_s * 1000,
        copied=became.copied,
        dropped=became.dropped,
        late=buffer.late,
        delay_ms=buffer.delay_s * 1000,
        target_ms=buffer.target_s * 1000,
        stretched_ms=receiver.stretched * 1000 / CLOCK_HZ,
        burst_there=sender.burst,
        sending_kbit_s=sender.wire_bit_s / 1000,
        frame_ms=decision.frame_ms,
        copies=decision.copies,
        bandwidth=decision.bandwidth.value,
        thin=decision.thin,
        too_thin=decision.reason is Reason.TOO_THIN,
    )
