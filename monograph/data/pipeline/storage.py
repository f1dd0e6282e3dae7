"""Elements kept: cached in memory or in a file, saved to a file and loaded from it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from typing import Any

from monograph.data.files.tfrecord import TFRecordWriter, records
from monograph.data.pipeline.element_bytes import decode, encode
from monograph.data.pipeline.elements import freeze
from monograph.data.pipeline.single import CountingRun, OneInput
from monograph.data.pipeline.stage import Stage


class Cache(OneInput):
    """The input is read once, wholly; later passes read what was kept of it."""

    def __init__(self, source: Stage) -> None:
        super().__init__(source)
        self.kept: list[Any] | None = None

    class RUN(CountingRun):
        def __init__(self, stage: Any) -> None:
            super().__init__(stage)
            self.reading = stage.kept is not None
            self.found: list[Any] = []

        def __next__(self) -> Any:
            if self.reading:
                kept = self.stage.kept
                if self.at >= len(kept):
                    raise StopIteration
                self.at += 1
                return kept[self.at - 1]
            try:
                element = freeze(self.pull())
            except StopIteration:
                self.stage.kept = self.found
                raise
            self.found.append(element)
            return element

        def state(self) -> dict[str, Any]:
            return {**super().state(), "reading": self.reading, "kept": list(self.stage.kept if self.reading else self.found)}

        def restore(self, state: dict[str, Any]) -> None:
            super().restore(state)
            self.reading = state["reading"]
            if self.reading:
                self.stage.kept = [freeze(e) for e in state["kept"]]
            else:
                self.found = [freeze(e) for e in state["kept"]]


class CacheFile(OneInput):
    """As Cache, in a file: it appears when the input has been read to its end, and is used by later programs, too."""

    def __init__(self, source: Stage, filename: str) -> None:
        super().__init__(source)
        self.filename = filename

    class RUN(CountingRun):
        KEPT = ("at", "reading")

        def __init__(self, stage: Any) -> None:
            super().__init__(stage)
            self.reading = os.path.exists(stage.filename)
            self.items: Iterator[bytes] | None = None
            self.writer: TFRecordWriter | None = None
            self.partial = ""

        def __next__(self) -> Any:
            return self._kept() if self.reading else self._new()

        def _kept(self) -> Any:
            if self.items is None:
                self.items = records(self.stage.filename, "")
                for _ in range(self.at):
                    next(self.items, None)
            element = decode(next(self.items))
            self.at += 1
            return element

        def _new(self) -> Any:
            if self.writer is None:
                folder, name = os.path.split(os.path.abspath(self.stage.filename))
                handle, self.partial = tempfile.mkstemp(prefix=name + ".partial.", dir=folder)
                os.close(handle)
                self.writer = TFRecordWriter(self.partial)
            try:
                element = self.pull()
            except StopIteration:
                if self.partial:
                    self.writer.close()
                    os.replace(self.partial, self.stage.filename)
                    self.partial = ""
                raise
            self.writer.write(encode(element))
            return element

        def restore(self, state: dict[str, Any]) -> None:
            """A pass that was filling the file fills it anew, up to its place; one that read a file which is gone makes it again."""
            self.close()
            if state["reading"] and os.path.exists(self.stage.filename):
                super().restore(state)
                return
            self.source = self.stage.inputs[0].run()
            self.children, self.at, self.reading = [self.source], 0, False
            if state["reading"]:
                for _ in self:
                    pass
                self.reading, self.at = True, state["at"]
                return
            for _ in range(state["at"]):
                next(self)

        def close(self) -> None:
            if self.items is not None:
                self.items.close()  # type: ignore[attr-defined]
            if self.writer is not None:
                self.writer.close()
            if self.partial:
                os.unlink(self.partial)
            self.items, self.writer, self.partial = None, None, ""
            super().close()


def save(stage: Stage, path: str, compression: str | None) -> None:
    """Writes all elements of a stage to a file."""
    run = stage.run()
    try:
        with TFRecordWriter(path, compression) as writer:
            for element in run:
                writer.write(encode(element))
    finally:
        run.close()
