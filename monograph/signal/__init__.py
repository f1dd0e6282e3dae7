"""torch.signal: window functions (`monograph.signal.windows`)."""

from __future__ import annotations

from monograph.signal import windows

__all__ = ["windows"]
