"""The OpenAPI document and its page: made once at start, served without any script or foreign request."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib import metadata
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from portfolio_analytics.admin import operations as op
from portfolio_analytics.shared.openapi import ANYONE_KNOWN, PUBLIC, Operation, document

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

STYLE = """
:root {
  color-scheme: light dark;
  --line: light-dark(#e2e5e9, #272d34);
  --soft: light-dark(#58616b, #9aa4ae);
  --accent: light-dark(#0b7a75, #45c4b9);
}
body {
  font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1.5rem 1rem 4rem;
  background: light-dark(#f4f5f6, #0e1114); color: light-dark(#14181c, #e9ecef);
}
h1 { letter-spacing: -.02em }
h2 { margin: 2.5rem 0 .5rem; font-size: 1.15rem; text-transform: capitalize }
a { color: var(--accent) }
details {
  border: 1px solid var(--line); border-radius: .5rem; margin: .4rem 0;
  background: light-dark(#fff, #161a1e);
}
summary {
  cursor: pointer; padding: .5rem .75rem; display: flex; align-items: baseline; flex-wrap: wrap;
  gap: .1rem .75rem;
}
summary:hover .path { text-decoration: underline }
summary:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px }
details > div { padding: 0 .75rem .75rem; border-top: 1px solid var(--line) }
code, pre { font: .875em/1.5 ui-monospace, monospace }
pre { overflow-x: auto; padding: .75rem; border: 1px solid var(--line); border-radius: .375rem }
.method { font-weight: 700; min-width: 3.75rem; color: var(--accent) }
.path { font-weight: 600 }
.access { margin-left: auto; color: var(--soft) }
table { border-collapse: collapse; width: 100% }
td, th { text-align: left; vertical-align: top; padding: .25rem .5rem .25rem 0 }
td { border-top: 1px solid var(--line) }
"""


_ACCESS = {PUBLIC: "public", ANYONE_KNOWN: "any token"}
"""What the page calls the access that is no scope."""

_BOUNDS = {
    "minimum": "at least",
    "maximum": "at most",
    "minLength": "shortest",
    "maxLength": "longest",
    "maxItems": "up to",
}


def routes(operations: Sequence[Operation]) -> list[BaseRoute]:
    """`/openapi.json` and `/docs` of all operations that the service answers."""
    content = document(operations, metadata.version("portfolio-analytics"))
    served = (
        (op.DOCUMENT.path, msgspec.json.encode(content), "application/json"),
        (op.PAGE.path, page(content).encode(), "text/html"),
        (op.STYLE.path, STYLE.encode(), "text/css"),
    )
    return [Route(path, _static(body, media)) for path, body, media in served]


def page(content: Mapping[str, Any]) -> str:
    """The document as HTML: one folded block an operation, under its tag."""
    info = content["info"]
    by_tag: dict[str, list[str]] = {}
    for path, methods in content["paths"].items():
        for method, operation in methods.items():
            block = _block(method, path, operation, content["components"]["schemas"])
            by_tag.setdefault(operation["tags"][0], []).append(block)
    sections = "".join(f"<h2>{escape(tag)}</h2>{''.join(blocks)}" for tag, blocks in by_tag.items())
    schemas = "".join(
        f'<details id="{escape(name)}"><summary><code>{escape(name)}</code></summary>'
        f"<div>{_code(schema)}</div></details>"
        for name, schema in sorted(content["components"]["schemas"].items())
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><link rel="stylesheet" href="/docs.css">'
        f"<title>{escape(info['title'])} API</title></head><body><main><h1>{escape(info['title'])} API</h1>"
        f"<p>{escape(info['description'])} Version {escape(info['version'])}; as a document: "
        '<a href="/openapi.json">openapi.json</a>.</p>'
        f"{sections}<h2>Schemas</h2>{schemas}</main></body></html>"
    )


def _block(method: str, path: str, operation: Mapping[str, Any], schemas: Mapping[str, Any]) -> str:
    parts = [f"<p>{_prose(operation['description'])}</p>"] if "description" in operation else []
    access = operation["x-access"]
    parts.append(_code_text(_curl(method, path, operation)))
    if "parameters" in operation:
        parts.append(_table("Parameter", [(p["name"], _told(p)) for p in operation["parameters"]]))
    if "requestBody" in operation:
        for media, body in operation["requestBody"]["content"].items():
            parts.append(f"<p>Body: <code>{escape(media)}</code>{_links(body.get('schema', {}))}</p>")
            fields = schemas.get(_reference(body.get("schema", {})), {}).get("properties", {})
            if fields:
                parts.append(
                    _table("Field", [(name, escape(_kind(field))) for name, field in fields.items()])
                )
    answers = [
        (status, _prose(a["description"]) + _answer_links(a)) for status, a in operation["responses"].items()
    ]
    parts.append(_table("Answer", answers))
    return (
        f'<details id="{escape(operation["operationId"])}"><summary>'
        f'<code class="method">{method.upper()}</code>'
        f'<code class="path">{escape(path)}</code> <span>{_prose(operation["summary"])}</span>'
        f'<span class="access">{escape(_ACCESS.get(access, access))}</span></summary>'
        f"<div>{''.join(parts)}</div></details>"
    )


def _curl(method: str, path: str, operation: Mapping[str, Any]) -> str:
    """The call on a command line."""
    parts = ["curl"]
    if method != "get":
        parts.append(f"-X {method.upper()}")
    if operation["x-access"] != PUBLIC:
        parts.append("-H 'Authorization: Bearer TOKEN'")
    if "requestBody" in operation:
        parts.append("-d @body.json")
    return " ".join([*parts, f"http://127.0.0.1:8080{path}"])


def _told(parameter: Mapping[str, Any]) -> str:
    text = parameter.get("description", "Part of the path.")
    return escape(f"{text} (required)" if parameter["required"] else text)


def _answer_links(answer: Mapping[str, Any]) -> str:
    return "".join(_links(media.get("schema", {})) for media in answer.get("content", {}).values())


def _links(schema: Mapping[str, Any]) -> str:
    name = _reference(schema)
    return f' <a href="#{escape(name)}">{escape(name)}</a>' if name else ""


def _reference(schema: Mapping[str, Any]) -> str:
    """The name of the component that a schema refers to; empty when it stands for itself."""
    return str(schema.get("$ref", "")).rpartition("/")[2]


def _kind(schema: Mapping[str, Any]) -> str:
    """A field's type and bounds in a few words."""
    if "anyOf" in schema:
        return " or ".join(_kind(one) for one in schema["anyOf"])
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    kind = _reference(schema) or str(schema.get("format") or schema.get("type") or "anything")
    if kind == "array":
        kind = f"list of {_kind(schema.get('items', {}))}"
    bounds = [f"{name} {schema[key]}" for key, name in _BOUNDS.items() if key in schema]
    return ", ".join([kind, *bounds])


def _prose(text: str) -> str:
    """Text with `code` marked as such."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def _table(head: str, rows: Iterable[tuple[str, str]]) -> str:
    body = "".join(f"<tr><td><code>{escape(name)}</code></td><td>{told}</td></tr>" for name, told in rows)
    return f"<table><thead><tr><th>{head}</th><th></th></tr></thead><tbody>{body}</tbody></table>"


def _code(value: Any) -> str:
    return _code_text(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def _code_text(text: str) -> str:
    return f"<pre>{escape(text)}</pre>"


def _static(body: bytes, media: str) -> Any:
    headers = {"Content-Security-Policy": CONTENT_SECURITY_POLICY, "Cache-Control": "public, max-age=300"}

    async def endpoint(_request: Request) -> Response:
        return Response(body, headers=headers, media_type=media)

    return endpoint
