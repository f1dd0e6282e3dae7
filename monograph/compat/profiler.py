"""torch.profiler and torch.autograd.profiler: the names of `monograph.profiler`."""

from __future__ import annotations

from monograph.profiler import (
    EventList,
    FunctionEvent,
    FunctionEventAvg,
    Interval,
    ProfilerAction,
    ProfilerActivity,
    profile,
    record_function,
    schedule,
    supported_activities,
    tensorboard_trace_handler,
)

_KinetoProfile = profile
__all__ = [
    "EventList",
    "FunctionEvent",
    "FunctionEventAvg",
    "Interval",
    "ProfilerAction",
    "ProfilerActivity",
    "profile",
    "record_function",
    "schedule",
    "supported_activities",
    "tensorboard_trace_handler",
]
