"""The AsyncAPI 3.0 document: the same operations over NATS, and the events and control messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from contracts import headers as names
from contracts import subjects
from contracts.caching import CacheDrop
from contracts.durable import EventsIngested
from contracts.operation import MEDIA_TYPES, Operation
from gateway.documents.schemas import schemas


class Publication(NamedTuple):
    """A message on a subject that nobody answers. `*` in the subject stands for `parameters`, in order."""

    name: str
    subject: str
    message: Any
    summary: str
    parameters: tuple[str, ...] = ()


PUBLICATIONS: tuple[Publication, ...] = (
    Publication(
        "events.ingested",
        subjects.INGESTED,
        EventsIngested,
        f"JetStream ({subjects.EVENTS_STREAM}): new rows of a workspace are visible",
        ("workspace",),
    ),
    Publication("cache.drop", subjects.CACHE_DROP, CacheDrop, "Core NATS: gateways drop what they hold"),
)


def asyncapi(operations: Sequence[Operation], title: str, version: str) -> dict[str, Any]:
    """Return the document, a JSON value."""
    types = [type_ for operation in operations for type_ in (operation.request, operation.response)]
    references, components = schemas([*types, *(item.message for item in PUBLICATIONS)])
    channels: dict[str, Any] = {}
    actions: dict[str, Any] = {}
    for index, operation in enumerate(operations):
        request, response = references[2 * index : 2 * index + 2]
        channels[operation.id], channels[f"{operation.id}.reply"] = _channels(operation, request, response)
        actions[operation.id] = _action(operation)
    for item, reference in zip(PUBLICATIONS, references[len(types) :], strict=True):
        channels[item.name] = _publication(item, reference)
        actions[item.name] = {"action": "send", "channel": _to("channels", item.name), "summary": item.summary}
    return {
        "asyncapi": "3.0.0",
        "info": {"title": title, "version": version, "description": "Request-reply and events over NATS."},
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": actions,
        "components": {"schemas": components, "messages": {"problem": _problem()}},
    }


def _channels(
    operation: Operation, request: dict[str, Any], response: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    examples = [{"name": name, "payload": value} for name, value in operation.examples.items()]
    ask = {
        "address": operation.subject,
        "messages": {
            "request": {
                "headers": _request_headers(operation),
                "payload": request,
                **({"examples": examples} if examples else {}),
            }
        },
    }
    answer = {
        "address": None,
        "description": "The request's reply subject. Over 512 KiB the reply comes in numbered frames, if asked for.",
        "messages": {
            "response": {"headers": _reply_headers(), "payload": response},
            "problem": {"$ref": "#/components/messages/problem"},
        },
    }
    return ask, answer


def _action(operation: Operation) -> dict[str, Any]:
    reply = f"{operation.id}.reply"
    return {
        "action": "receive",
        "channel": _to("channels", operation.id),
        "summary": operation.summary,
        **({"description": operation.description} if operation.description else {}),
        "messages": [_to("channels", operation.id, "messages", "request")],
        "reply": {
            "channel": _to("channels", reply),
            "messages": [_to("channels", reply, "messages", kind) for kind in ("response", "problem")],
        },
    }


def _publication(item: Publication, reference: dict[str, Any]) -> dict[str, Any]:
    address = item.subject
    for name in item.parameters:
        address = address.replace("*", f"{{{name}}}", 1)
    channel: dict[str, Any] = {
        "address": address,
        "description": item.summary,
        "messages": {"message": {"payload": reference}},
    }
    if item.parameters:
        channel["parameters"] = {name: {"description": f"The {name}'s UUID"} for name in item.parameters}
    return channel


def _request_headers(operation: Operation) -> dict[str, Any]:
    text = {"type": "string"}
    return {
        "type": "object",
        "required": [names.WORKSPACE],
        "properties": {
            names.WORKSPACE: {"type": "string", "format": "uuid"},
            names.REQUEST_ID: text,
            names.PRINCIPAL: text,
            names.TIMEOUT: {"type": "string", "description": "Milliseconds left for the caller"},
            names.ACCEPT: {"enum": list(operation.formats), "default": operation.formats[0]},
            names.STREAM: {"const": "1", "description": "The caller reads replies of several frames"},
            names.TRACEPARENT: text,
        },
    }


def _reply_headers() -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            names.CONTENT_TYPE: {"enum": list(MEDIA_TYPES.values())},
            names.CACHE: {"type": "string", "description": "How the reply may be cached, a JSON object"},
            names.VERSION: {
                "type": "string",
                "description": "The version of the resource shown, where it has versions",
            },
            names.FRAME: {"type": "string", "description": "Of a streamed reply: the frame's number, or `end`"},
        },
    }


def _problem() -> dict[str, Any]:
    return {
        "contentType": "application/problem+json",
        "headers": {
            "type": "object",
            "required": [names.ERROR_CODE],
            "properties": {names.ERROR: {"type": "string"}, names.ERROR_CODE: {"type": "string"}},
        },
        "payload": {"$ref": "#/components/schemas/Problem"},
    }


def _to(*path: str) -> dict[str, str]:
    return {"$ref": "#/" + "/".join(path)}
