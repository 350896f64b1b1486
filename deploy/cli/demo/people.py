"""Who visits the demo shop, and when: people with their devices and visits."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from itertools import accumulate
from random import Random
from typing import Final

from deploy.cli.demo.world import (
    COUNTRIES,
    DEVICES,
    END,
    FIRST_NAMES,
    HOURS,
    LAST_NAMES,
    MONTHS,
    PEOPLE,
    SEED,
    START,
    WEEKDAYS,
    Country,
    Device,
)  # fmt: skip

_DAYS: Final = (END - START).days
_HOUR_MS: Final = 3_600_000
_DAY_MS: Final = 24 * _HOUR_MS
_COMPANY_SHARE: Final = 0.06
_SHARED_DEVICE_SHARE: Final = 0.03
_SECOND_DEVICE_SHARE: Final = 0.35


@dataclass(slots=True)
class Browser:
    """A device's browser: what the anonymous id names. `context` is filled by calls.py."""

    anonymous_id: str
    device: Device
    user: str = ""
    """Who is logged in."""
    context: str = ""


@dataclass(slots=True)
class Person:
    """One visitor. `keen` is how likely they buy and come back; `company` 0 for none."""

    number: int
    country: Country
    browsers: list[Browser]
    first: str
    last: str
    keen: float
    company: int
    signed_up: bool = False
    orders: int = 0
    plan: str = "free"

    @property
    def user_id(self) -> str:
        """The shop's id of this person once signed up."""
        return f"user-{self.number:05d}"

    @property
    def email(self) -> str:
        """An address in a domain that is reserved for examples."""
        return f"{self.first}.{self.last}.{self.number}@example.com".lower()


@dataclass(slots=True, order=True)
class Visit:
    """A visit begins at `at`, in milliseconds since 1970, with one of the person's browsers."""

    at: int
    person: int
    nth: int
    browser: int


def population(size: int = PEOPLE) -> tuple[list[Person], list[Visit]]:
    """Return so many people and all their visits in order of time; the same for every call."""
    random = Random(SEED)  # noqa: S311 - a demo, which has to be the same every time
    days = [_day_weight(day) for day in range(_DAYS)]
    day_sums = list(accumulate(days))
    people: list[Person] = []
    visits: list[Visit] = []
    for number in range(size):
        person = _person(random, number, people)
        people.append(person)
        first = random.choices(range(_DAYS), cum_weights=day_sums)[0]
        for nth, day in enumerate(_visit_days(random, person, first, days)):
            browser = 0 if len(person.browsers) == 1 or random.random() < 0.65 else 1
            visits.append(Visit(_moment(random, day, person.country), number, nth, browser))
    visits.sort()
    return people, visits


def _person(random: Random, number: int, people: list[Person]) -> Person:
    country = random.choices(COUNTRIES, [country.weight for country in COUNTRIES])[0]
    devices = random.choices(DEVICES, [device.weight for device in DEVICES], k=2)
    browsers = [Browser(f"anon-{number:05d}-a", devices[0])]
    if random.random() < _SECOND_DEVICE_SHARE:
        browsers.append(Browser(f"anon-{number:05d}-b", devices[1]))
    elif people and random.random() < _SHARED_DEVICE_SHARE:
        # Two people of one household at one tablet: the anonymous id is the first one's.
        browsers.append(people[-1].browsers[0])
    return Person(
        number=number,
        country=country,
        browsers=browsers,
        first=random.choice(FIRST_NAMES),
        last=random.choice(LAST_NAMES),
        keen=random.betavariate(1.6, 2.6),
        company=random.randrange(1, 120) if random.random() < _COMPANY_SHARE else 0,
    )


def _visit_days(random: Random, person: Person, first: int, days: list[float]) -> list[int]:
    """Return the days of a person's visits: many come once; those who come back do so ever more rarely."""
    found, day, gap = [first], first, 2.2
    while random.random() < 0.4 + 0.54 * person.keen:
        day += max(1, round(random.lognormvariate(math.log(gap), 0.9)))
        gap = min(gap * 1.35, 30.0)
        if day >= _DAYS:
            break
        # Quiet days lose some of their visits to nobody, which keeps the week's rhythm for those who return.
        if random.random() < days[day] / 1.9:
            found.append(day)
    return found


def _day_weight(day: int) -> float:
    moment = START + timedelta(days=day)
    trend = 0.8 + 0.4 * day / _DAYS
    return WEEKDAYS[moment.weekday()] * MONTHS[moment.month - 1] * trend


def _moment(random: Random, day: int, country: Country) -> int:
    hour = random.choices(range(24), HOURS)[0]
    start = int(START.timestamp() * 1000)
    local = start + day * _DAY_MS + hour * _HOUR_MS + random.randrange(_HOUR_MS)
    return min(max(start, local - country.hours * _HOUR_MS), start + _DAYS * _DAY_MS - 2 * _HOUR_MS)
