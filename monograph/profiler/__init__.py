"""Profiling with torch.profiler's surface: what kernels a program runs, how long each takes, from which line, how close to the limit."""

from __future__ import annotations

from monograph.profiler.events import EventList, FunctionEvent, FunctionEventAvg, Interval
from monograph.profiler.profile import (
    ProfilerAction,
    ProfilerActivity,
    profile,
    record_function,
    schedule,
    supported_activities,
    tensorboard_trace_handler,
)

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
