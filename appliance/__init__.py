"""Fencewire: calls and messages between boards that find each other by themselves."""

__version__ = "0.1.0"
