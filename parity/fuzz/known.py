"""Differences that random calls meet and that are meant, by a pattern of the call and what is said of it."""

from __future__ import annotations

KNOWN: dict[str, str] = {}
