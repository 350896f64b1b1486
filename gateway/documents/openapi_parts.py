"""Parts of the OpenAPI document that all operations share."""

from __future__ import annotations

from typing import Any

from contracts.errors import CdpError, InvalidRequest
from gateway.reading import REQUEST_ID, WORKSPACE
from gateway.responses import PROBLEM_JSON

IF_MATCH_HEADER: dict[str, Any] = {
    "name": "If-Match",
    "in": "header",
    "required": True,
    "description": "The ETag of what is changed, as last seen; `*` for any. Without it 428; 412 when another change "
    "came first",
    "schema": {"type": "string", "maxLength": 1_000},
    "example": '"1"',
}
"""Of operations that change a resource with versions."""
_WAITS = {429, 503}
"""Statuses that say when to come back."""


def parameters() -> dict[str, Any]:
    """Return the headers every operation takes, by name."""
    return {
        "workspace": {
            "name": WORKSPACE,
            "in": "header",
            "required": True,
            "description": "The workspace asked",
            "schema": {"type": "string", "format": "uuid", "minLength": 36, "maxLength": 36},
            "example": "00000000-0000-4000-8000-000000000001",
        },
        "request_id": {
            "name": REQUEST_ID,
            "in": "header",
            "required": False,
            "description": "Follows the request through all logs; replaced when over 128 characters or not plain",
            "schema": {"type": "string"},  # no limit stated: one that is too long is replaced, not refused
        },
    }


def headers() -> dict[str, Any]:
    """Return the headers of answers, by name."""

    def header(description: str, type_: str = "string", **more: Any) -> dict[str, Any]:
        return {"description": description, "schema": {"type": type_, **more}}

    return {
        REQUEST_ID: header("The request's id in all logs"),
        "Server-Timing": header("Milliseconds in all, and in the service"),
        "ETag": header(
            "The version of what is shown, to send as If-Match; else a hash of the bytes, to send as If-None-Match"
        ),
        "X-Cache": header("How the cache took part", enum=["hit", "miss", "bypass"]),
        "Age": header("Seconds since a cached answer was made", "integer", minimum=0),
        "Retry-After": header("Seconds after which asking again may help", "integer", minimum=1),
    }


def problem(cls: type[CdpError]) -> dict[str, Any]:
    """Return the response that one kind of error is."""
    names = [REQUEST_ID, *(["Retry-After"] if cls.status in _WAITS else [])]
    error = cls.at("/field", "what would be right") if issubclass(cls, InvalidRequest) else cls()
    value = error.problem()
    return {
        "description": f"{cls.title}. {' '.join((cls.__doc__ or '').split())}",
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in names},
        "content": {
            PROBLEM_JSON: {
                "schema": {"$ref": "#/components/schemas/Problem"},
                "example": {
                    "type": value.type,
                    "title": value.title,
                    "status": value.status,
                    "detail": value.detail,
                    "errors": [{"pointer": item.pointer, "message": item.message} for item in value.errors],
                },
            }
        },
    }
