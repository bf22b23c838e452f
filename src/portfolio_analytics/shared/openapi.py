"""The HTTP interface as an OpenAPI 3.1 document, made from what the routes declare.

Each room of the house lists its `Operation`s. `document` turns them into JSON: the schemas come from msgspec,
and the answers that every operation of a kind shares (401, 403, 429, ...) are added here, once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

PUBLIC = "public"
"""Access of what anybody may call."""

ANYONE_KNOWN = "known"
"""Access of what every token, session and public link may call."""

_PATH_PARAMETER = re.compile(r"{(\w+)}")
_REF = "#/components/schemas/{name}"


class Error(msgspec.Struct):
    """What is wrong: a stable word for programs, a sentence for people, and the field, where there is one."""

    status: str
    error: str
    message: str
    field: str | msgspec.UnsetType = msgspec.UNSET


@dataclass(frozen=True, slots=True)
class Media:
    """A body that is not JSON of one type: its media type and a sentence about it."""

    type: str
    description: str


@dataclass(frozen=True, slots=True)
class Parameter:
    """A query or header parameter; `type` is any type that msgspec knows."""

    name: str
    description: str
    type: Any = str
    required: bool = False
    where: str = "query"


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path.

    `access` is PUBLIC, ANYONE_KNOWN or a scope; the scope is asked for the site in the path or the query.
    `answers` gives for each status a type, a Media, or None for an empty body; `errors` the statuses beyond
    those that its kind implies. `body` is a type or several Media.
    """

    method: str
    path: str
    summary: str
    access: str
    tag: str
    answers: Mapping[int, Any] = field(default_factory=dict)
    errors: Sequence[int] = ()
    body: Any = None
    body_required: bool = True
    parameters: Sequence[Parameter] = ()
    description: str = ""


_ERRORS = {
    400: "The request cannot be parsed.",
    401: "No token, or a wrong one.",
    403: "The token lacks the scope, or tokens are disabled.",
    404: "There is no such thing.",
    405: "The path has other methods; see Allow.",
    408: "The body did not arrive in time.",
    409: "It exists already.",
    413: "The body is too large.",
    415: "The Content-Encoding is not known.",
    421: "The Host is not this server's.",
    422: "The request can be parsed and is not valid; `field` says where.",
    429: "Too many requests; see Retry-After.",
    503: "What is needed is away; see Retry-After.",
}

_SECURITY_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "A token, or ADMIN_TOKEN."},
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "__Host-portfolio_session",
        "description": "A signed-in browser; what is not a GET must come from the server's own page.",
    },
    "share": {
        "type": "apiKey",
        "in": "query",
        "name": "share",
        "description": "A public link: reads one site.",
    },
}


def document(operations: Iterable[Operation], version: str) -> dict[str, Any]:
    """The OpenAPI 3.1 document of `operations`, as plain JSON values."""
    listed = list(operations)
    schemas, components = msgspec.json.schema_components(_types(listed), ref_template=_REF)
    named = dict(zip(map(_key, _types(listed)), schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for operation in listed:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, named)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Portfolio Analytics",
            "version": version,
            "description": "Privacy-first web analytics: send events, read statistics, check every number.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": _SECURITY_SCHEMES},
    }


def _types(operations: list[Operation]) -> list[Any]:
    """Every type that a body, an answer or a parameter has, once, in order."""
    found: dict[str, Any] = {_key(Error): Error, _key(str): str}
    for operation in operations:
        used = [operation.body, *operation.answers.values(), *(p.type for p in operation.parameters)]
        for kind in used:
            if kind is not None and not isinstance(kind, Media | tuple):
                found.setdefault(_key(kind), kind)
    return list(found.values())


def _key(kind: Any) -> str:
    return repr(kind)


def _operation(operation: Operation, schemas: dict[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = {
        "operationId": _identifier(operation),
        "summary": operation.summary,
        "tags": [operation.tag],
        "x-access": operation.access,
    }
    if operation.description:
        result["description"] = operation.description
    parameters = _parameters(operation, schemas)
    if parameters:
        result["parameters"] = parameters
    if operation.body is not None:
        content = _content(operation.body, schemas)
        result["requestBody"] = {"required": operation.body_required, "content": content}
    answers = {str(status): _answer(_told(kind), kind, schemas) for status, kind in operation.answers.items()}
    for status in _error_statuses(operation):
        answers.setdefault(str(status), _answer(_ERRORS[status], Error, schemas))
    result["responses"] = dict(sorted(answers.items()))
    result["security"] = _security(operation.access)
    return result


def _error_statuses(operation: Operation) -> list[int]:
    statuses = set(operation.errors)
    if operation.access != PUBLIC:
        statuses |= {401, 403, 429, 503}
    if operation.body is not None:
        statuses |= {400, 408, 413, 422}
    if _PATH_PARAMETER.search(operation.path):
        statuses.add(404)
    return sorted(statuses)


def _security(access: str) -> list[dict[str, list[str]]]:
    if access == PUBLIC:
        return []
    schemes = ["bearer", "session", "share"] if access in ("read", ANYONE_KNOWN) else ["bearer", "session"]
    return [{scheme: [access] if scheme == "bearer" else []} for scheme in schemes]


def _identifier(operation: Operation) -> str:
    words = re.findall(r"\w+", operation.path.replace("{", "by_").replace(".", "_"))
    return "_".join([operation.method.lower(), *words]) if words else f"{operation.method.lower()}_root"


def _parameters(operation: Operation, schemas: dict[str, Any]) -> list[dict[str, Any]]:
    in_path = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _PATH_PARAMETER.findall(operation.path)
    ]
    others = [
        {
            "name": parameter.name,
            "in": parameter.where,
            "required": parameter.required,
            "description": parameter.description,
            "schema": schemas[_key(parameter.type)],
        }
        for parameter in operation.parameters
    ]
    return in_path + others


def _told(kind: Any) -> str:
    """What a type says of itself in its first line."""
    if kind is None:
        return "No content."
    if isinstance(kind, tuple):
        return str(kind[0].description)
    return (getattr(kind, "__doc__", None) or "An object.").partition("\n")[0]


def _answer(description: str, kind: Any, schemas: dict[str, Any]) -> dict[str, Any]:
    if kind is None:
        return {"description": description}
    if isinstance(kind, Media):
        return {"description": kind.description, "content": {kind.type: {}}}
    return {"description": description, "content": _content(kind, schemas)}


def _content(kind: Any, schemas: dict[str, Any]) -> dict[str, Any]:
    if isinstance(kind, tuple):
        return {media.type: {} for media in kind}
    if isinstance(kind, Media):
        return {kind.type: {}}
    return {"application/json": {"schema": schemas[_key(kind)]}}
