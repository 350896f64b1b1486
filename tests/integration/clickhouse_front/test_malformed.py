"""Bytes that are no ClickHouse client's: a clear refusal or a closed connection, never a hang, never a dead server."""

from __future__ import annotations

import random
import socket
import struct

import pytest
from asynch.connection import Connection

from deploy.embedded.clickhouse import compression, native
from deploy.embedded.clickhouse.wire import string, varint

from .server import Front, fetch

REVISION = 54453


def hello(user: str = "cdp", password: str = "secret", revision: int = REVISION) -> bytes:
    head = varint(0) + string("test") + varint(1) + varint(1) + varint(revision)
    return head + string("default") + string(user) + string(password)


def query(sql: str, compressed: bool = False) -> bytes:
    info = b"\x01" + string("") * 2 + string("0.0.0.0:0") + bytes(8) + b"\x01" + string("u") + string("h") + string("c")
    info += varint(1) + varint(1) + varint(REVISION) + string("") + varint(0) + varint(0) + b"\0" + varint(0) * 3
    return varint(1) + string("") + info + string("") + string("") + varint(2) + varint(compressed) + string(sql)


EMPTY = b"\x02\x00" + b"\x01\x00\x02\xff\xff\xff\xff\x00" + b"\x00\x00"
INFO = b"\x02\x00" + b"\x01\x00\x02\xff\xff\xff\xff\x00"


class Raw:
    """A bare socket past the handshake."""

    def __init__(self, front: Front, greet: bool = True) -> None:
        self.socket = socket.create_connection(("127.0.0.1", front.tcp_port), timeout=8)
        if greet:
            self.socket.sendall(hello())
            assert self.socket.recv(4096)[:1] == b"\0"

    def say(self, data: bytes) -> None:
        self.socket.sendall(data)

    def everything(self) -> bytes:
        """What comes until the server closes; a hang is a timeout error."""
        received = b""
        try:
            while piece := self.socket.recv(65536):
                received += piece
        except ConnectionResetError:
            pass
        self.socket.close()
        return received


def code_of(received: bytes) -> int:
    """The code of the first packet, an Exception."""
    assert received[:1] == b"\x02", received[:100]
    return int(struct.unpack_from("<i", received, 1)[0])


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\x05", 101),
        (varint(77), 101),
        (b"\xff" * 12, 117),
        (varint(0) + varint(1 << 40) + b"x", 131),
        (hello(revision=50000), 48),
        (hello(password="wrong"), 516),
    ],
    ids=["tables-status", "unknown", "endless-varint", "huge-name", "old", "wrong-password"],
)
def test_a_bad_greeting_gets_an_exception(front: Front, data: bytes, code: int) -> None:
    raw = Raw(front, greet=False)
    raw.say(data)
    assert code_of(raw.everything()) == code


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\x05", 99),
        (varint(13), 99),
        (EMPTY, 101),
        (query("SELECT 1") + b"\x05", 101),
        (query("SELECT 1") + b"\x02\x00\x09", 117),
        (query("SELECT 1") + INFO + varint(1 << 50) + varint(1), 117),
        (query("SELECT 1") + INFO + varint(1) + varint(1) + string("x") + string("No(Such"), 50),
        (query("SELECT 1") + INFO + varint(1) + varint(1) + string("x") + string("AggregateFunction(sum, UInt8)"), 48),
        (query("SELECT 1", True) + b"\x02\x00" + bytes(16) + struct.pack("<BII", 0x82, 1 << 31, 1 << 31), 271),
        (query("SELECT 1", True) + b"\x02\x00" + bytes(16) + struct.pack("<BII", 0x82, 20, 1 << 29), 271),
        (query("SELECT 1", True) + b"\x02\x00" + bytes(16) + struct.pack("<BII", 0x55, 20, 20), 89),
        (query("SELECT 1", True) + b"\x02\x00" + bytes(16) + struct.pack("<BII", 0x82, 19, 10) + bytes(10), 40),
        (varint(1) + string("") + b"\x01" + string("") * 3 + bytes(8) + b"\x09", 101),
    ],
    ids=[
        *("tables-status", "query-plan", "data-unasked", "no-data", "block-info", "huge-block", "bad-type", "no-walk"),
        *("huge-frame", "bomb", "method", "checksum", "client-info"),
    ],
)
def test_a_bad_packet_gets_an_exception_and_the_connection_ends(front: Front, data: bytes, code: int) -> None:
    before = front.resident()
    raw = Raw(front)
    raw.say(data)
    received = raw.everything()
    received = received.removeprefix(b"\x01") if received[:1] != b"\x02" else received
    assert code_of(received) == code
    assert front.resident() - before < 100 << 20


def test_http_on_the_native_port_is_told_so(front: Front) -> None:
    raw = Raw(front, greet=False)
    raw.say(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    received = raw.everything()
    assert received.startswith(b"HTTP/1.0 400")
    assert b"native protocol" in received


def test_corrupted_data_of_an_insert_changes_nothing(front: Front) -> None:
    raw = Raw(front)
    raw.say(query("CREATE TABLE IF NOT EXISTS corrupted (x UInt8) ENGINE = MergeTree ORDER BY x") + EMPTY)
    assert raw.socket.recv(100) == b"\x05"
    raw.say(query("INSERT INTO corrupted VALUES", True) + b"\x02\x00" + compression.compress(EMPTY[2:]))
    assert raw.socket.recv(65536)[:1] == b"\x0b"
    frame = bytearray(compression.compress(INFO[2:] + b"\x01\x03\x01x\x05UInt8\x01\x02\x03"))
    frame[-1] ^= 1
    raw.say(b"\x02\x00" + bytes(frame))
    assert code_of(raw.everything()) == 40
    raw = Raw(front)
    raw.say(query("SELECT count() FROM corrupted") + EMPTY)
    assert bytes(8) in raw.socket.recv(65536)


@pytest.mark.parametrize("cut", [1, 5, 20, 60])
def test_a_truncated_packet_is_waited_for_and_forgotten_when_the_client_leaves(front: Front, cut: int) -> None:
    raw = Raw(front)
    raw.say(query("SELECT 1")[:-cut])
    raw.socket.settimeout(0.2)
    with pytest.raises(TimeoutError):
        raw.socket.recv(1)
    raw.socket.close()


async def test_random_bytes_never_bring_the_server_down(front: Front, plain: Connection) -> None:
    noise = random.Random(20260101)
    valid = hello() + query("SELECT 1") + EMPTY
    for attempt in range(300):
        raw = Raw(front, greet=False)
        if attempt % 2:
            data = noise.randbytes(noise.randrange(1, 300))
        else:
            mutated = bytearray(valid)
            for _ in range(noise.randrange(1, 6)):
                mutated[noise.randrange(len(mutated))] = noise.randrange(256)
            data = bytes(mutated[: noise.randrange(1, len(mutated) + 1)])
        raw.say(data)
        raw.socket.shutdown(socket.SHUT_WR)
        raw.everything()
    assert await fetch(plain, "SELECT 1") == [(1,)]


def test_random_blocks_are_walked_or_refused_but_never_crash() -> None:
    noise = random.Random(7)
    kinds = [
        "String",
        "Array(String)",
        "LowCardinality(String)",
        "JSON",
        "Dynamic",
        "Map(String, UInt8)",
        "Variant(String)",
    ]
    for _ in range(3000):
        data = varint(1) + varint(noise.randrange(4)) + string("x") + string(noise.choice(kinds))
        try:
            native.split(data + noise.randbytes(noise.randrange(80)), native.Flag.ABSENT)
        except (native.ServerError, EOFError):
            continue
