"""What can go wrong, once for every process.

A service raises one of these; the kit replies with the NATS services error headers and `Problem` as body; the client
and the gateway turn that body back into the same class or into RFC 9457 ``application/problem+json``:

    service: raise InvalidRequest ──► {headers, Problem} ──► NATS ──► from_problem() ──► raise InvalidRequest
"""

from __future__ import annotations

from typing import ClassVar

import msgspec


class FieldError(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that is wrong with a request. `pointer` is a JSON Pointer (RFC 6901), '' for the whole body."""

    message: str
    pointer: str = ""


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """The body of every error answer (RFC 9457, with `errors` as in its section 3)."""

    type: str
    title: str
    status: int
    detail: str = ""
    errors: tuple[FieldError, ...] = ()


class CdpError(Exception):
    """The root of every expected failure. Its text is for the caller: no SQL, no stack, nothing about a server."""

    kind: ClassVar[str] = "internal"
    title: ClassVar[str] = "Internal error"
    status: ClassVar[int] = 500

    def __init__(self, detail: str = "", *, errors: tuple[FieldError, ...] = (), retry_after: float | None = None):
        super().__init__(detail or self.title)
        self.detail = detail
        self.errors = errors
        self.retry_after = retry_after
        """Seconds after which asking again may help."""

    def problem(self) -> Problem:
        """Return the body that describes this error."""
        return Problem(
            type=f"urn:cdp:error:{self.kind}",
            title=self.title,
            status=self.status,
            detail=self.detail,
            errors=self.errors,
        )


class InvalidRequest(CdpError):
    """The request cannot be, whatever the state of the system: 400."""

    kind, title, status = "invalid-request", "The request is not valid", 400

    @classmethod
    def at(cls, pointer: str, message: str) -> InvalidRequest:
        """Return the error for one field: `pointer` is its JSON Pointer, `message` says what would be right."""
        return cls("the request is not valid", errors=(FieldError(pointer=pointer, message=message),))


class Unauthorized(CdpError):
    """Nobody known is asking: 401."""

    kind, title, status = "unauthorized", "Authentication is required", 401


class Forbidden(CdpError):
    """The caller is known and lacks the scope: 403."""

    kind, title, status = "forbidden", "Not allowed", 403


class NotFound(CdpError):
    """What was asked for does not exist in this workspace: 404."""

    kind, title, status = "not-found", "Not found", 404


class MethodNotAllowed(CdpError):
    """The path exists, the method does not: 405."""

    kind, title, status = "method-not-allowed", "Method not allowed", 405


class NotAcceptable(CdpError):
    """None of the accepted media types can be produced: 406."""

    kind, title, status = "not-acceptable", "Not acceptable", 406


class Conflict(CdpError):
    """The request contradicts the present state: 409."""

    kind, title, status = "conflict", "Conflict", 409


class PreconditionFailed(CdpError):
    """If-Match names a version that is no longer the newest: 412."""

    kind, title, status = "precondition-failed", "Precondition failed", 412


class TooLarge(CdpError):
    """The request, or an answer that may not stream, is over its size limit: 413."""

    kind, title, status = "too-large", "Too large", 413


class UnsupportedMediaType(CdpError):
    """The body's content type is not application/json: 415."""

    kind, title, status = "unsupported-media-type", "Unsupported media type", 415


class LimitExceeded(CdpError):
    """A valid query that needs more than its limits of rows, bytes, memory or time allow: 422."""

    kind, title, status = "limit-exceeded", "A limit was exceeded", 422


class PreconditionRequired(CdpError):
    """The operation needs If-Match: 428."""

    kind, title, status = "precondition-required", "Precondition required", 428


class TooManyRequests(CdpError):
    """A rate or concurrency limit; `retry_after` says when to come back: 429."""

    kind, title, status = "too-many-requests", "Too many requests", 429


class Internal(CdpError):
    """A fault of ours. The detail holds nothing but the request id; the log has the rest: 500."""


class Unavailable(CdpError):
    """A part that is needed is not there for now: 503."""

    kind, title, status = "unavailable", "Temporarily unavailable", 503


class DeadlineExceeded(CdpError):
    """The time the caller gave is over; the work was stopped: 504."""

    kind, title, status = "deadline-exceeded", "Deadline exceeded", 504


_KINDS: dict[str, type[CdpError]] = {cls.kind: cls for cls in CdpError.__subclasses__()}
KINDS: tuple[type[CdpError], ...] = tuple(sorted(_KINDS.values(), key=lambda cls: (cls.status, cls.kind)))


def from_problem(problem: Problem, retry_after: float | None = None) -> CdpError:
    """Rebuild the error a service raised from the body it replied with; an unknown kind becomes `Internal`."""
    cls = _KINDS.get(problem.type.removeprefix("urn:cdp:error:"), Internal)
    return cls(problem.detail, errors=problem.errors, retry_after=retry_after)
