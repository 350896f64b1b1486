"""Errors on the wire: the NATS services headers (ADR-32) with a `Problem` as body, and back."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from contracts import headers as names
from contracts.base import encode
from contracts.errors import CdpError, Internal, Problem, from_problem

_problems = msgspec.json.Decoder(Problem)
"""Not strict about unknown fields: a newer service may say more about an error than this process knows."""


def encode_error(error: CdpError, request_id: str = "") -> tuple[dict[str, str], bytes]:
    """Return the headers and the body of the reply that says `error`."""
    headers = {
        names.CONTENT_TYPE: "application/problem+json",
        names.ERROR: error.title,
        names.ERROR_CODE: str(error.status),
    }
    if request_id:
        headers[names.REQUEST_ID] = request_id
    if error.retry_after is not None:
        headers[names.RETRY_AFTER] = f"{error.retry_after:g}"
    return headers, encode(error.problem())


def decode_error(headers: Mapping[str, str], body: bytes) -> CdpError | None:
    """Return the error a reply says, None if it says none. A body that is no `Problem` (another responder on the
    subject, an old service) becomes `Internal` with the header's text."""
    if names.ERROR_CODE not in headers:
        return None
    try:
        return from_problem(_problems.decode(body), _seconds(headers.get(names.RETRY_AFTER)))
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return Internal(headers.get(names.ERROR, ""))


def _seconds(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None
