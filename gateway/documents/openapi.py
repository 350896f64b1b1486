"""The OpenAPI 3.1 document, made from the table of operations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from contracts.errors import (
    CdpError,
    DeadlineExceeded,
    Internal,
    InvalidRequest,
    LimitExceeded,
    NotAcceptable,
    NotFound,
    PreconditionFailed,
    PreconditionRequired,
    TooLarge,
    TooManyRequests,
    Unavailable,
    UnsupportedMediaType,
)
from contracts.operation import MEDIA_TYPES, Operation
from contracts.versioned import IF_MATCH
from gateway.documents.examples import example
from gateway.documents.openapi_parts import IF_MATCH_HEADER, headers, parameters, problem
from gateway.documents.schemas import schemas
from gateway.reading import REQUEST_ID

VERSION = "3.1.0"
_ERRORS: tuple[type[CdpError], ...] = (
    InvalidRequest,
    NotFound,
    NotAcceptable,
    LimitExceeded,
    TooManyRequests,
    Internal,
    Unavailable,
    DeadlineExceeded,
)
_BODY_ERRORS: tuple[type[CdpError], ...] = (TooLarge, UnsupportedMediaType)
_CONDITION_ERRORS: tuple[type[CdpError], ...] = (PreconditionFailed, PreconditionRequired)
_NOT_MODIFIED = {"304": {"description": "Not modified: `If-None-Match` names this answer"}}
_STREAM = {"schema": {"type": "string", "description": "Streamed, one row after another"}}


def openapi(operations: Sequence[Operation], title: str, version: str) -> dict[str, Any]:
    """Return the document, a JSON value."""
    types = [type_ for operation in operations for type_ in (operation.request, operation.response)]
    references, components = schemas(types)
    paths: dict[str, Any] = {}
    for index, operation in enumerate(operations):
        request, response = references[2 * index : 2 * index + 2]
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(
            operation, request, response, components
        )
    return {
        "openapi": VERSION,
        "info": {
            "title": title,
            "version": version,
            "description": "Answers about the events of a customer data platform. "
            "The same operations are served over NATS: see /asyncapi.json.",
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": service} for service in sorted({operation.service for operation in operations})],
        "paths": paths,
        "components": {
            "schemas": components,
            "parameters": parameters(),
            "headers": headers(),
            "responses": {cls.__name__: problem(cls) for cls in (*_ERRORS, *_BODY_ERRORS, *_CONDITION_ERRORS)},
        },
    }


def _operation(
    operation: Operation, request: dict[str, Any], response: dict[str, Any], components: dict[str, Any]
) -> dict[str, Any]:
    errors = (
        *_ERRORS,
        *(_BODY_ERRORS if operation.has_body else ()),
        *(_CONDITION_ERRORS if operation.conditional else ()),
    )
    shared: list[dict[str, Any]] = [{"$ref": f"#/components/parameters/{name}"} for name in parameters()]
    if operation.conditional:
        shared.append(IF_MATCH_HEADER)
    schema = components[request["$ref"].rsplit("/", 1)[1]] if "$ref" in request else request
    result: dict[str, Any] = {
        "operationId": operation.id,
        "tags": [operation.service],
        "summary": operation.summary,
        "description": f"{operation.description}\n\nOver NATS: `{operation.subject}`.".strip(),
        "parameters": [*shared, *_request_parameters(operation, schema)],
        "responses": {
            "200": _success(operation, response, components),
            **(
                {"304": {"description": "Not modified: `If-None-Match` names this answer"}}
                if _has_etag(operation)
                else {}
            ),
            **{str(cls.status): {"$ref": f"#/components/responses/{cls.__name__}"} for cls in errors},
        },
    }
    if operation.has_body:
        body = _body(operation, request, schema)
        examples = operation.examples or {"smallest": example(body, components)}
        result["requestBody"] = {
            "required": bool(body.get("required")) or body is request,
            "content": {
                "application/json": {
                    "schema": body,
                    "examples": {
                        name.replace(" ", "_"): {"summary": name, "value": value} for name, value in examples.items()
                    },
                }
            },
        }
    return result


def _body(operation: Operation, request: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of the body: the request without what path and headers say."""
    elsewhere = {*operation.parameters, *((IF_MATCH,) if operation.conditional else ())}
    if not elsewhere:
        return request
    return {
        **schema,
        "properties": {name: member for name, member in schema["properties"].items() if name not in elsewhere},
        "required": [name for name in schema["required"] if name not in elsewhere],
    }


def _has_etag(operation: Operation) -> bool:
    return operation.method == "GET" or operation.cache is not None or operation.versioned


def _success(operation: Operation, response: dict[str, Any], components: dict[str, Any]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for format_ in operation.formats:
        if format_ == "json":
            content[MEDIA_TYPES[format_]] = {"schema": response, "example": example(response, components)}
        else:
            content[MEDIA_TYPES[format_]] = {
                "schema": {"type": "string", "description": "Streamed, one row after another"}
            }
    names = [REQUEST_ID, "Server-Timing"]
    if _has_etag(operation):
        names.append("ETag")
    if operation.cache is not None:
        names += ["X-Cache", "Age"]
    return {
        "description": "The answer",
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in names},
        "content": content,
    }


def _request_parameters(operation: Operation, schema: dict[str, Any]) -> list[dict[str, Any]]:
    required = set(schema.get("required", ()))
    found = []
    for name, member in schema.get("properties", {}).items():
        place = "path" if name in operation.parameters else "query"
        if name == IF_MATCH or (place == "query" and operation.has_body):
            continue
        found.append({"name": name, "in": place, "required": place == "path" or name in required, "schema": member})
    return found
