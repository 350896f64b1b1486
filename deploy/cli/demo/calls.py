"""The demo's events as Segment calls, one JSON text a call."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from random import Random
from typing import Any, Final

from deploy.cli.demo.people import Browser, Person
from deploy.cli.demo.world import SITE, Campaign
from deploy.cli.load.values import EPOCH, iso

_LATE_SHARE: Final = 0.004
_TWICE_SHARE: Final = 0.003
_HOUR_MS: Final = 3_600_000


def dumps(value: Any) -> str:
    """Return compact JSON."""
    return json.dumps(value, separators=(",", ":"))


class Page:
    """A page of the shop and the part of the context that names it."""

    def __init__(self, path: str, title: str, referrer: str = "", search: str = "") -> None:
        self.path = path
        self.title = title
        self.fields = {
            "path": path,
            "url": f"{SITE}{path}{search}",
            "title": title,
            "referrer": referrer,
            "search": search,
        }
        self.json = dumps(self.fields)


class Recorder:
    """Collects calls with running message ids; some arrive late, some twice, as calls do."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._number = 0
        self.lines: list[str] = []

    def call(
        self, kind: str, at: int, browser: Browser, page: Page, campaign: str, fields: str, properties: str
    ) -> None:
        """Add a call at `at` (milliseconds since 1970). `fields` are further members, `properties` the JSON object."""
        self._number += 1
        arrival = at + 80 + self._random.randrange(1_500)
        if self._random.random() < _LATE_SHARE:
            arrival += self._random.randrange(1, 48) * _HOUR_MS
        user = f'"userId":"{browser.user}",' if browser.user else ""
        body = "traits" if kind in ("identify", "group") else "properties"
        head = (
            f'{{"type":"{kind}","messageId":"demo-{self._number:07d}",{user}"anonymousId":"{browser.anonymous_id}",'
            f'"timestamp":"{iso(at)}",{fields}"{body}":{properties},'
            f'"context":{{"page":{page.json},{campaign}{browser.context}}},"receivedAt":"'
        )
        self.lines.append(f'{head}{iso(arrival)}"}}')
        if self._random.random() < _TWICE_SHARE:
            self.lines.append(f'{head}{iso(arrival + 2_000)}"}}')


def device_context(person: Person, browser: Browser, address: int) -> str:
    """Return the members of the context that stay the same for one person's browser."""
    device = browser.device
    members = {
        "ip": f"203.0.113.{address % 256}",
        "locale": person.country.locale,
        "timezone": person.country.timezone,
        "userAgent": device.user_agent,
        "library": {"name": "analytics.js", "version": "4.2.1"},
        "device": {"id": browser.anonymous_id, "type": device.type},
        "os": {"name": device.os, "version": device.os_version},
        "app": {"name": "shop-web", "version": "7.12.0"},
        "screen": {"width": device.width, "height": device.height, "density": 2},
        "location": {"country": person.country.name, "city": person.country.city},
    }
    return dumps(members)[1:-1]


def campaign_context(campaign: Campaign) -> str:
    """Return the campaign's member of the context, with its comma; '' for a visit without one."""
    if not campaign.name:
        return ""
    members = {"name": campaign.name, "source": campaign.source, "medium": campaign.medium}
    return f'"campaign":{dumps(members)},'


def day_of(at: int) -> str:
    """Return the UTC date of a moment."""
    moment: datetime = EPOCH + timedelta(milliseconds=at)
    return moment.date().isoformat()
