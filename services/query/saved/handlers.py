"""The handlers of saved queries and lists, by the operation's name."""

from __future__ import annotations

from functools import partial

from services.query.saved.lists import lists_actors, lists_create, lists_delete, lists_get, lists_list
from services.query.saved.queries import (
    queries_create,
    queries_delete,
    queries_get,
    queries_list,
    queries_replace,
    queries_restore,
    queries_version,
    queries_version_restore,
    queries_versions,
)
from services.query.saved.run import Handlers, queries_run


def handlers(others: Handlers) -> Handlers:
    """Return them; `others` are those of the service, among which the analyses are looked for when asked."""
    return {
        "queries_create": queries_create,
        "queries_list": queries_list,
        "queries_get": queries_get,
        "queries_replace": queries_replace,
        "queries_delete": queries_delete,
        "queries_restore": queries_restore,
        "queries_versions": queries_versions,
        "queries_version": queries_version,
        "queries_version_restore": queries_version_restore,
        "queries_run": partial(queries_run, others),
        "lists_create": partial(lists_create, others),
        "lists_list": lists_list,
        "lists_get": lists_get,
        "lists_actors": lists_actors,
        "lists_delete": lists_delete,
    }
