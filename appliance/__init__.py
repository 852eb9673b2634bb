"""Fencewire: calls and messages between boards that find each other by themselves."""

__version__ = "0.2.0"
