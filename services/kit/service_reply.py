"""From what a handler returns to messages on the caller's inbox."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, NoReturn

from contracts import headers as names
from contracts import subjects
from contracts.base import encode
from contracts.caching import CachePolicy
from contracts.errors import TooLarge
from services.kit.service_call import ActiveCall
from services.kit.service_types import Answer, RequestContext, Stream
from services.kit.streaming import WHOLE_BYTES, FrameWriter, Publish

OpenStream = Callable[[ActiveCall, Mapping[str, str]], FrameWriter]


async def send_result(
    result: Any, call: ActiveCall, context: RequestContext, open_stream: OpenStream, publish: Publish
) -> None:
    """Send a handler's result: a struct or an Answer in one message where it fits, else, and a Stream always, in
    frames; for a caller that reads no frames, one message or nothing.

    Raises:
        TooLarge: it needs frames and the caller reads none.
        ReaderGone: the caller is not there any more.
    """
    if isinstance(result, Stream):
        headers = _headers(context, result.content_type, result.cache, result.now)
        async with _closing(result.chunks) as chunks:
            if context.stream:
                writer: FrameWriter | None = None
                async for chunk in chunks:
                    # Opened with the first chunk, so that a query that fails at its start is a plain error reply.
                    writer = writer or open_stream(call, headers)
                    if chunk:
                        await writer.send(chunk)
                writer = writer or open_stream(call, headers)
                if not writer.frames:
                    await writer.send(b"")  # frame 0 carries the headers
                await writer.end(result.totals())
            else:
                call.sent_bytes = await _send_whole(publish, call.received.inbox, await _gather(chunks), headers)
        return
    answer = result if isinstance(result, Answer) else Answer(encode(result))
    if answer.drop is not None:
        await publish(subjects.CACHE_DROP, encode(answer.drop), {})
    headers = _headers(context, answer.content_type, answer.cache, answer.now)
    if answer.version is not None:
        headers[names.VERSION] = str(answer.version)
    if len(answer.body) <= WHOLE_BYTES:
        call.sent_bytes = await _send_whole(publish, call.received.inbox, answer.body, headers)
    elif context.stream:
        writer = open_stream(call, headers)
        await writer.send(answer.body)
        await writer.end({})
    else:
        _too_large()


def _headers(
    context: RequestContext, content_type: str, cache: CachePolicy | None, now: datetime | None
) -> dict[str, str]:
    headers = {names.CONTENT_TYPE: content_type, names.REQUEST_ID: context.request_id}
    if cache is not None:
        headers[names.CACHE] = cache.header()
    clock = now or context.now
    if clock is not None:
        headers[names.NOW] = clock.isoformat()
    return headers


async def _send_whole(publish: Publish, inbox: str, body: bytes, headers: Mapping[str, str]) -> int:
    await publish(inbox, body, headers)
    return len(body)


async def _gather(chunks: AsyncIterator[bytes]) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for chunk in chunks:
        size += len(chunk)
        if size > WHOLE_BYTES:
            _too_large()
        parts.append(chunk)
    return b"".join(parts)


def _too_large() -> NoReturn:
    raise TooLarge(f"the answer is over {WHOLE_BYTES} bytes: ask for a smaller page, or set {names.STREAM}: 1")


@asynccontextmanager
async def _closing(chunks: AsyncIterator[bytes]) -> AsyncIterator[AsyncIterator[bytes]]:
    try:
        yield chunks
    finally:
        aclose = getattr(chunks, "aclose", None)
        if aclose is not None:  # an async generator; a plain iterator has nothing to close
            await aclose()
