"""How much of everything a trainer runs: limits and intervals as the user wrote them, in batches."""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass
from typing import Any


@dataclass
class Limits:
    """Each is None (all), an int (so many batches) or a float (that part of the epoch)."""

    train: float | None
    val: float | None
    test: float | None
    predict: float | None
    val_check: float | None
    overfit: float

    def __post_init__(self) -> None:
        for name in ("train", "val", "test", "predict"):
            _check(f"limit_{name}_batches", getattr(self, name))
        _check("val_check_interval", self.val_check)
        _check("overfit_batches", self.overfit)
        if self.overfit:
            self.train = self.overfit
            self.val = 0

    def of(self, stage: str) -> float | None:
        """The limit of a stage."""
        return {"train": self.train, "validate": self.val, "test": self.test, "predict": self.predict}[stage]

    def batches(self, stage: str, length: int | None) -> int | None:
        """How many batches of an epoch of `length` are run; None: until the data ends."""
        limit = self.of(stage)
        if limit is None:
            return length
        if isinstance(limit, float):
            if length is None:
                raise ValueError(f"a part of the data was asked for ({limit}), but its length is not known: give a number of batches")
            return int(length * limit)
        return limit if length is None else min(limit, length)

    def check_every(self, batches: int | None) -> int | None:
        """After how many batches of training validation comes; None: at the end of the epoch."""
        every = self.val_check
        if every is None or (isinstance(every, float) and every == 1.0):
            return None
        if isinstance(every, int):
            if batches is not None and every > batches:
                raise ValueError(f"val_check_interval={every} is more than the {batches} batches of an epoch: give at most {batches}")
            return every
        if batches is None:
            raise ValueError(f"val_check_interval={every} is a part of the epoch, whose length is not known: give a number of batches")
        return max(1, int(batches * every))


def _check(name: str, value: Any) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} is a number of batches (int) or a part of the epoch (float from 0 to 1), got {value!r}")
    if value < 0 or (isinstance(value, float) and value > 1):
        raise ValueError(f"{name} is a number of batches (int) or a part of the epoch (float from 0 to 1), got {value}")


def seconds_of(time: Any) -> float | None:
    """Seconds of a time limit: a number, a timedelta, "dd:hh:mm:ss" or timedelta's arguments in a dict.

    >>> seconds_of("00:00:01:30"), seconds_of({"minutes": 2})
    (90.0, 120.0)
    """
    if time is None:
        return None
    if isinstance(time, dict):
        time = datetime.timedelta(**time)
    if isinstance(time, datetime.timedelta):
        return time.total_seconds()
    if isinstance(time, str):
        match = re.fullmatch(r"(\d+):(\d\d):(\d\d):(\d\d)", time.strip())
        if match is None:
            raise ValueError(f"max_time={time!r}: a text is written dd:hh:mm:ss, e.g. '00:01:30:00'")
        days, hours, minutes, seconds = map(int, match.groups())
        return datetime.timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds).total_seconds()
    return float(time)
