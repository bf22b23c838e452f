"""The files that browsers get: the tracker and the dashboard, as they were built into the package."""

from __future__ import annotations

import hashlib
import mimetypes
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from portfolio_analytics.shared.http import ApiError

WEB = Path(__file__).parents[1] / "web"

SCRIPTS = ("tracker.js", "vitals.js")
SCRIPT_CACHE = "public, max-age=3600"
PAGE_CACHE = "no-cache"
ASSET_CACHE = "public, max-age=31536000, immutable"

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class StaticFile(NamedTuple):
    """A file's content, plain and compressed, and what its headers say."""

    content: bytes
    gzipped: bytes | None
    media_type: str
    etag: str


@lru_cache(maxsize=256)
def load(root: Path, name: str) -> StaticFile | None:
    """The file `name` below `root`; None when there is none. Kept in memory: it changes with the package."""
    try:
        path = (root / name).resolve()
        if not path.is_relative_to(root.resolve()) or not path.is_file():
            return None
    except (OSError, ValueError):  # too long a name, or one with a NUL: no file has it
        return None
    content = path.read_bytes()
    compressed = path.with_name(f"{path.name}.gz")
    media_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    if media_type == "application/javascript":
        media_type = "text/javascript"
    return StaticFile(
        content,
        compressed.read_bytes() if compressed.is_file() else None,
        media_type,
        f'"{hashlib.sha256(content).hexdigest()[:16]}"',
    )


def serve(request: Request, file: StaticFile, cache: str) -> Response:
    """The answer with a file, compressed where the browser can; 304 where it has it."""
    headers = {"ETag": file.etag, "Cache-Control": cache, "Vary": "Accept-Encoding"}
    if file.etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    content = file.content
    if file.gzipped is not None and "gzip" in request.headers.get("accept-encoding", ""):
        content = file.gzipped
        headers["Content-Encoding"] = "gzip"
    return Response(content, headers=headers, media_type=file.media_type)


def routes(root: Path = WEB, tracker_path: str | None = None) -> list[BaseRoute]:
    """GET /tracker.js, /vitals.js, /dashboard and what is below it.

    `tracker_path` is a second path of the tracker, one that blockers' lists do not know.
    """

    async def script(request: Request) -> Response:
        path = request.url.path
        name = SCRIPTS[0] if path == tracker_path else path.removeprefix("/")
        response = serve(request, _found(root, name), SCRIPT_CACHE)
        # Pages of other origins load the tracker.
        response.headers["Access-Control-Allow-Origin"] = "*"
        response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
        return response

    async def to_dashboard(request: Request) -> Response:
        query = f"?{request.url.query}" if request.url.query else ""
        return RedirectResponse(f"/dashboard/{query}", 308)

    async def dashboard(request: Request) -> Response:
        name = f"dashboard/{request.path_params['name']}"
        if "." not in name:  # one of the dashboard's views, which its script tells apart
            name = "dashboard/index.html"
        cache = ASSET_CACHE if "/assets/" in name else PAGE_CACHE
        response = serve(request, _found(root, name), cache)
        response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
        return response

    return [
        *[Route(f"/{name}", script, methods=["GET"]) for name in SCRIPTS],
        *([Route(tracker_path, script, methods=["GET"])] if tracker_path else []),
        Route("/dashboard", to_dashboard, methods=["GET"]),
        Route("/dashboard/{name:path}", dashboard, methods=["GET"]),
    ]


def _found(root: Path, name: str) -> StaticFile:
    file = load(root, name)
    if file is None:
        raise ApiError(404, "not_built", f"{name} is not part of this installation.")
    return file
