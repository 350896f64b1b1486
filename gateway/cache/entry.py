"""A kept answer: the bytes as the service made them, and until when they hold."""

from __future__ import annotations

import asyncio
import gzip
import time
from hashlib import blake2b

import msgspec

from contracts.caching import CachePolicy

GZIP_FROM_BYTES = 1_400
"""Answers below one network packet gain nothing from compression."""
_GZIP_LEVEL = 5
_GZIP_INLINE_BYTES = 65_536
"""Up to here compressing takes about a millisecond; above, it moves to a thread (zlib releases the lock)."""
_OVERHEAD_BYTES = 600
"""Python objects around an entry, roughly: keeps a cache of many tiny answers within its limit."""


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """An entry as Redis keeps it (MessagePack). `stored_at`: wall clock in seconds, `ttl` in seconds from then."""

    body: bytes
    content_type: str
    stored_at: float
    ttl: float
    policy: CachePolicy


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Stored)


class Entry:
    """One whole answer. Immutable but for its life, which drops shorten, and the gzip variant, which is made once, when
    the first client wants it."""

    __slots__ = ("_gzip", "body", "content_type", "etag", "policy", "stored_at", "ttl", "versioned")

    def __init__(
        self,
        body: bytes,
        content_type: str,
        *,
        stored_at: float,
        ttl: float,
        policy: CachePolicy | None,
        version: str | None = None,
    ):
        self.body = body
        self.content_type = content_type
        self.stored_at = stored_at
        """Wall clock, in seconds."""
        self.ttl = ttl
        """Seconds the entry holds from `stored_at`; 0: must not be kept."""
        self.policy = policy
        self.versioned = version is not None
        """The answer shows a resource with versions. Such answers are not kept."""
        self.etag = version or blake2b(body, digest_size=16).hexdigest()
        """The strong validator, without quotes: the resource's version, else a hash of the bytes."""
        self._gzip: bytes | None = None

    def fresh(self, now: float) -> bool:
        """Whether the entry still holds at this wall clock."""
        return self.ttl > 0 and now < self.stored_at + self.ttl

    def shorten(self, ttl: float) -> None:
        """Let the entry hold for no more than `ttl` seconds from `stored_at`."""
        self.ttl = min(self.ttl, ttl)

    def age(self, now: float) -> int:
        """Seconds since the answer was made; never negative, whatever the clocks of two machines say."""
        return max(0, int(now - self.stored_at))

    @property
    def size(self) -> int:
        """Bytes of memory the entry takes, nearly."""
        return len(self.body) + len(self._gzip or b"") + _OVERHEAD_BYTES

    async def gzipped(self) -> bytes | None:
        """Return the body compressed, or null when it is too small to gain."""
        if self._gzip is None:
            if len(self.body) < GZIP_FROM_BYTES:
                return None
            if len(self.body) <= _GZIP_INLINE_BYTES:
                self._gzip = _compress(self.body)
            else:
                self._gzip = await asyncio.to_thread(_compress, self.body)
        return self._gzip

    def dump(self) -> bytes:
        """Return the bytes Redis keeps; only for an entry with a policy."""
        assert self.policy is not None
        return _encoder.encode(
            Stored(
                body=self.body,
                content_type=self.content_type,
                stored_at=self.stored_at,
                ttl=self.ttl,
                policy=self.policy,
            )
        )

    @classmethod
    def load(cls, data: bytes, left: float) -> Entry | None:
        """Read what Redis kept and will keep for `left` more seconds: less than the entry itself says where its life
        was shortened there. Null when it is not of this version's shape."""
        try:
            stored = _decoder.decode(data)
        except msgspec.MsgspecError:
            return None
        ttl = min(stored.ttl, time.time() + left - stored.stored_at)
        return cls(stored.body, stored.content_type, stored_at=stored.stored_at, ttl=ttl, policy=stored.policy)


def _compress(body: bytes) -> bytes:
    return gzip.compress(body, _GZIP_LEVEL, mtime=0)
