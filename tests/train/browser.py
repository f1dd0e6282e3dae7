"""A headless Chromium, driven through its own protocol: opens a page, reads its text through all shadow roots, takes its picture."""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import struct
import subprocess
import time
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any

CHROMIUM = next((found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None)
DEEP_TEXT = """(() => {
  const text = (node) => {
    if (node.nodeType === Node.TEXT_NODE) return node.data + " ";
    if (["STYLE", "SCRIPT", "TEMPLATE"].includes(node.nodeName)) return "";
    if (node.nodeName === "IFRAME") return node.contentDocument?.body ? text(node.contentDocument.body) : "";
    return [...(node.shadowRoot ? node.shadowRoot.childNodes : []), ...node.childNodes].map(text).join("");
  };
  return text(document.body).replace(/\\s+/g, " ");
})()"""


class Page:
    """One page of a browser of its own; a context manager, so that the browser goes with it."""

    def __init__(self, folder: Path) -> None:
        assert CHROMIUM is not None
        self._process = subprocess.Popen(
            [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--enable-unsafe-swiftshader", "--hide-scrollbars",
             "--no-first-run", "--disable-extensions", "--window-size=1300,850", "--remote-debugging-port=0", f"--user-data-dir={folder}",
             "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # nothing of the outside world, and no waiting for it
             "about:blank"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self._number, self._socket = 0, None
        try:
            self._connect(self._port(folder))
        except BaseException:
            self.close()
            raise

    def _port(self, folder: Path) -> int:
        told = folder / "DevToolsActivePort"
        for _ in range(600):
            if told.exists() and told.read_text().strip():
                return int(told.read_text().split("\n")[0])
            if self._process.poll() is not None:
                break
            time.sleep(0.1)
        raise RuntimeError(f"Chromium did not start (exit status {self._process.poll()})")

    def _connect(self, port: int) -> None:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=30) as answer:
            url = next(page["webSocketDebuggerUrl"] for page in json.load(answer) if page["type"] == "page")
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        key = base64.b64encode(os.urandom(16)).decode()
        path = url.split(f":{port}", 1)[1]
        head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        self._socket.sendall(f"{head}Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode())
        self._file = self._socket.makefile("rb")
        while self._file.readline().strip():
            pass

    def _send(self, text: str) -> None:
        data, mask = text.encode(), os.urandom(4)
        size = bytes([0x80 | len(data)]) if len(data) < 126 else struct.pack(">BH", 0xFE, len(data))
        assert self._socket is not None
        self._socket.sendall(b"\x81" + size + mask + bytes(byte ^ mask[i & 3] for i, byte in enumerate(data)))

    def _receive(self) -> dict[str, Any]:
        message = b""
        while True:
            head = self._file.read(2)
            size = head[1] & 127
            if size > 125:
                size = int.from_bytes(self._file.read(2 if size == 126 else 8), "big")
            message += self._file.read(size)
            if head[0] & 0x80:
                return json.loads(message)  # type: ignore[no-any-return]

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """One call of the protocol, with its answer."""
        self._number += 1
        self._send(json.dumps({"id": self._number, "method": method, "params": params}))
        while True:
            message = self._receive()
            if message.get("id") == self._number:
                return message.get("result", {})  # type: ignore[no-any-return]

    def open(self, url: str) -> None:
        """Goes to an address; a change behind # alone loads the page anew too."""
        self.ask("Page.navigate", url="about:blank")
        self.ask("Page.navigate", url=url)

    def text(self) -> str:
        """Everything that is written on the page."""
        return str(self.evaluate(DEEP_TEXT) or "")

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression."""
        return self.ask("Runtime.evaluate", expression=expression, returnByValue=True).get("result", {}).get("value")

    def wait_for(self, *words: str, seconds: float = 40.0) -> str:
        """The page's text once all the words are there, or after so long."""
        end = time.monotonic() + seconds
        while True:
            text = self.text()
            if all(word in text for word in words) or time.monotonic() > end:
                return text
            time.sleep(0.25)

    def picture(self, path: Path, seconds: float = 8.0) -> bytes:
        """A PNG of what is seen once nothing moves any more (or after so long), also written to a file."""
        end, before = time.monotonic() + seconds, b""
        while True:
            data = base64.b64decode(self.ask("Page.captureScreenshot", format="png")["data"])
            if data == before or time.monotonic() > end:
                path.write_bytes(data)
                return data
            before = data
            time.sleep(1.5)

    def close(self) -> None:
        """Ends the browser."""
        if self._socket is not None:
            self._file.close()
            self._socket.close()
        self._process.terminate()
        self._process.wait(30)

    def __enter__(self) -> Page:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
