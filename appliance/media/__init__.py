"""The voice process: sound, Opus and the RTP loop, apart from the daemon so that it is on time."""
