"""Settings: read once from `ANALYTICS_*` at start, every problem named."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

PREFIX = "ANALYTICS_"


class SettingsError(ValueError):
    """Some settings are wrong; the text lists each by name with what would be right."""


def _help(text: str, **constraints: Any) -> Any:
    return Meta(description=text, **constraints)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """One field a setting: `nats_url` is `ANALYTICS_NATS_URL`. Defaults suit the official ports on one machine."""

    home: Annotated[str, _help("Folder of the embedded servers: data, logs and what they were started with")] = ".data"
    nats_url: Annotated[str, _help("NATS, comma-separated for a cluster")] = "nats://127.0.0.1:4222"
    redis_url: Annotated[str, _help("Redis or a compatible server: the cache's second level")] = (
        "redis://127.0.0.1:6379/0"
    )
    postgres_url: Annotated[str, _help("PostgreSQL: definitions and settings")] = (
        "postgresql://cdp:cdp@127.0.0.1:5432/cdp"
    )
    clickhouse_url: Annotated[str, _help("ClickHouse, native protocol; the path is the database")] = (
        "clickhouse://default:@127.0.0.1:9000/cdp"
    )
    clickhouse_http_url: Annotated[str, _help("The same ClickHouse's HTTP interface, for Parquet and Arrow")] = (
        "http://127.0.0.1:8123"
    )
    clickhouse_sql_url: Annotated[
        str, _help("The same ClickHouse as the read-only user of custom SQL (docs/sql.md); empty: no custom SQL")
    ] = ""
    clickhouse_sql_admin_url: Annotated[
        str, _help("The same ClickHouse as one who makes a user of custom SQL for each workspace, in place of that one")
    ] = ""
    clickhouse_sql_secret: Annotated[
        str, _help("What the passwords of these users are derived from, 32 characters or more", pattern="^(.{32,})?$")
    ] = ""
    clickhouse_cluster: Annotated[str, _help("Cluster name for ON CLUSTER; empty: one node")] = ""
    clickhouse_dictionary_login: Annotated[
        str, _help("user:password with which ClickHouse reads its own identity tables; empty: default without one")
    ] = ""
    clickhouse_pool_size: Annotated[int, _help("Connections to ClickHouse in each service process", ge=1, le=256)] = 8
    postgres_pool_size: Annotated[int, _help("Connections to PostgreSQL in each service process", ge=1, le=256)] = 4
    api_host: Annotated[str, _help("Address the gateway listens on")] = "127.0.0.1"
    api_port: Annotated[int, _help("Port of the API", ge=0, le=65535)] = 4000
    workers_port: Annotated[int, _help("Port of the services' health and metrics", ge=0, le=65535)] = 4001
    console_port: Annotated[int, _help("Port of the console", ge=0, le=65535)] = 4002
    cors_origins: Annotated[str, _help("Origins a browser may call from, comma-separated; * for any")] = ""
    max_body_bytes: Annotated[int, _help("Largest request body, in bytes", ge=1024, le=900_000)] = 524_288
    request_timeout_seconds: Annotated[float, _help("Longest time for an answer", gt=0, le=3600)] = 30.0
    stream_timeout_seconds: Annotated[float, _help("Longest time for a streamed answer", gt=0, le=86400)] = 900.0
    cache_ttl_query_seconds: Annotated[int, _help("Life of cached query answers; 0: no cache", ge=0)] = 60
    cache_ttl_profile_seconds: Annotated[int, _help("Life of cached profile answers; 0: no cache", ge=0)] = 30
    cache_ttl_closed_seconds: Annotated[int, _help("Life of cached answers whose range has ended", ge=0)] = 3600
    cache_memory_bytes: Annotated[int, _help("Size of each gateway's own cache, in bytes", ge=0)] = 67_108_864
    query_concurrency: Annotated[int, _help("Requests a service process handles at once", ge=1, le=1024)] = 16
    query_max_memory_bytes: Annotated[int, _help("Memory one ClickHouse query may use, in bytes", ge=0)] = 1_073_741_824
    query_max_rows_to_read: Annotated[int, _help("Rows one ClickHouse query may read; 0: no limit", ge=0)] = 0
    query_max_bytes_to_read: Annotated[int, _help("Bytes one ClickHouse query may read; 0: no limit", ge=0)] = 0
    sql_concurrency: Annotated[int, _help("Statements of custom SQL a query process runs at once", ge=1, le=256)] = 4
    sql_workspace_concurrency: Annotated[int, _help("Those of one workspace; others wait", ge=1, le=256)] = 2
    sql_threads: Annotated[int, _help("Threads of ClickHouse for a statement of custom SQL", ge=1, le=256)] = 1
    list_max_actors: Annotated[int, _help("Actors a saved list may have", ge=1, le=10_000_000)] = 1_000_000
    profiles_source: Annotated[
        str,
        _help(
            "projector: profiles are made from the events; external: ingestion owns them",
            pattern="^(projector|external)$",
        ),
    ] = "projector"
    profiles_external_ids: Annotated[
        str, _help("Traits that name one person, comma-separated: `GET /profiles/email:…` then finds a profile")
    ] = "email"
    profiles_many_ids: Annotated[
        int,
        _help("Ids of one profile, and anonymous ids of one user, beyond which `GET /profiles/warnings` tells", ge=1),
    ] = 50
    profiles_many_users: Annotated[
        int, _help("Users of one anonymous id beyond which `GET /profiles/warnings` tells", ge=1)
    ] = 10
    profiles_search_traits: Annotated[
        str, _help("Traits that free text is looked for in: dotted paths, comma-separated")
    ] = "name,first_name,last_name,firstName,lastName,username,email,phone,company,company.name"
    profiles_search_seconds: Annotated[float, _help("Longest time a search for profiles may take", gt=0, le=600)] = 10.0
    log_level: Annotated[str, _help("debug, info, warning or error", pattern="^(debug|info|warning|error)$")] = "info"
    otlp_endpoint: Annotated[str, _help("OpenTelemetry collector (OTLP over HTTP); empty: no traces")] = ""


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from the environment.

    Raises:
        SettingsError: lists every setting that is wrong or unknown.
    """
    source = os.environ if environ is None else environ
    given = {key.removeprefix(PREFIX).lower(): value for key, value in source.items() if key.startswith(PREFIX)}
    fields = {field.name: field for field in msgspec.structs.fields(Settings)}
    problems = [f"{PREFIX}{name.upper()}: no such setting" for name in sorted(given.keys() - fields.keys())]
    values: dict[str, Any] = {}
    for name in sorted(given.keys() & fields.keys()):
        try:
            values[name] = msgspec.convert(given[name], fields[name].type, strict=False)
        except msgspec.ValidationError as error:
            problems.append(f"{PREFIX}{name.upper()}: {error}")
    if problems:
        raise SettingsError("settings are wrong:\n  " + "\n  ".join(problems))
    return Settings(**values)


def describe() -> list[tuple[str, str, str]]:
    """Return (name, default, help) of every setting, for the README and the command line."""
    properties = msgspec.json.schema(Settings)["$defs"]["Settings"]["properties"]
    return [
        (f"{PREFIX}{name.upper()}", str(schema.get("default", "")), str(schema["description"]))
        for name, schema in properties.items()
    ]
