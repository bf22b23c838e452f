"""Serves the pages of `tracker_site` from an origin of their own, as the visited sites do."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PAGES = Path(__file__).parent / "tracker_site"
TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript"}


class PageServer:
    """One site. `options` are the attributes of its script tag, `csp` its policy, both for pages to come."""

    def __init__(self, tracker: str) -> None:
        self.tracker = tracker
        self.options = ""
        self.csp = ""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.site = self  # type: ignore[attr-defined]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    @property
    def origin(self) -> str:
        """Where the site is."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def values(self) -> dict[str, str]:
        """What the marks in the pages stand for."""
        # The same server under another name is another site to a browser.
        outside = self.origin.replace("127.0.0.1", "localhost")
        return {"__TRACKER__": self.tracker, "__OPTIONS__": self.options, "__OUTSIDE__": outside}

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def page(self, path: str) -> tuple[int, Path]:
        """The status and the file that answer a path; a path without an extension is a page."""
        name = path.partition("?")[0].strip("/") or "index"
        name = "app" if name.startswith("app/") else name
        file = PAGES / (name if "." in name else f"{name}.html")
        return (200, file) if file.is_file() else (404, PAGES / "missing.html")


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path.startswith("/files/"):
            self._send(200, b"a,b\n", {"Content-Disposition": "attachment"})
            return
        site: PageServer = self.server.site  # type: ignore[attr-defined]
        status, file = site.page(self.path)
        text = file.read_text()
        for mark, value in site.values().items():
            text = text.replace(mark, value)
        policy = {"Content-Security-Policy": site.csp} if site.csp else {}
        self._send(status, text.encode(), {"Content-Type": TYPES[file.suffix]} | policy)

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(body))}).items():
            self.send_header(name, value)
        try:
            self.end_headers()
            self.wfile.write(body)
        except ConnectionError:
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing: the tests look at the page."""
