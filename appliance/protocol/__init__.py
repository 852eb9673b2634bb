"""Protocols as sans-IO cores: one idea or RFC section group per file, time as an argument."""
