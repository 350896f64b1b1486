"""The generated shop, with fewer people than the demo has."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from itertools import pairwise
from typing import Any

import pytest

from deploy.cli.demo.journeys import calls
from deploy.cli.demo.world import END, START

PEOPLE = 3_000


@pytest.fixture(scope="module")
def demo() -> list[dict[str, Any]]:
    return [json.loads(line) for line in calls(PEOPLE)]


def test_it_is_the_same_on_every_run() -> None:
    first = hashlib.sha256("\n".join(calls(200)).encode()).hexdigest()
    again = hashlib.sha256("\n".join(calls(200)).encode()).hexdigest()
    assert first == again


def test_nearly_all_people_call_in_each_way_and_ids_are_counted(demo: list[dict[str, Any]]) -> None:
    ids = {call["messageId"] for call in demo}
    assert max(ids) == f"demo-{len(ids):07d}"
    people = {call["anonymousId"].rsplit("-", 1)[0] for call in demo}
    assert 0.95 * PEOPLE < len(people) <= PEOPLE
    assert {call["type"] for call in demo} == {"track", "page", "identify", "group"}


def test_every_event_lies_in_the_range_and_arrives_after_it_happened(demo: list[dict[str, Any]]) -> None:
    times = [call["timestamp"] for call in demo]
    assert f"{START:%Y-%m-%d}" <= min(times)
    assert max(times) < f"{END:%Y-%m-%d}"
    assert all(call["receivedAt"] > call["timestamp"] for call in demo)
    late = sum(call["receivedAt"][:13] > call["timestamp"][:13] for call in demo)
    assert late > 100, "some arrive hours later"


def test_a_message_that_is_sent_twice_is_the_same_but_for_its_arrival(demo: list[dict[str, Any]]) -> None:
    seen: dict[str, dict[str, Any]] = {}
    twice = 0
    for call in demo:
        bare = {key: value for key, value in call.items() if key != "receivedAt"}
        if call["messageId"] in seen:
            twice += 1
            assert seen[call["messageId"]] == bare
        seen[call["messageId"]] = bare
    assert twice > 100


def test_each_step_of_the_funnel_loses_people(demo: list[dict[str, Any]]) -> None:
    who = defaultdict(set)
    for call in demo:
        who[call.get("event")].add(call["anonymousId"])
    sizes = [len(who[step]) for step in ("Product Viewed", "Product Added", "Checkout Started", "Order Completed")]
    assert sizes == sorted(sizes, reverse=True)
    assert all(0.3 * before < after < 0.9 * before for before, after in pairwise(sizes))


def test_the_anonymous_become_known_on_several_and_on_shared_devices(demo: list[dict[str, Any]]) -> None:
    users_of, devices_of, first_user = defaultdict(set), defaultdict(set), {}
    before = 0
    for call in demo:
        if user := call.get("userId"):
            users_of[call["anonymousId"]].add(user)
            devices_of[user].add(call["anonymousId"])
            first_user.setdefault(call["anonymousId"], user)
    for call in demo:
        before += "userId" not in call and call["anonymousId"] in first_user
    assert before > 3_000, "page views before the sign-up"
    assert sum(len(devices) > 1 for devices in devices_of.values()) > 50
    assert sum(len(users) > 1 for users in users_of.values()) > 2


def test_weekends_and_evenings_are_busier_and_spring_more_than_winter(demo: list[dict[str, Any]]) -> None:
    months = Counter(call["timestamp"][5:7] for call in demo)
    assert months["05"] > 1.3 * months["01"]
    hours = Counter(call["timestamp"][11:13] for call in demo)
    assert hours["18"] > 3 * hours["03"]


def test_orders_carry_their_products_and_add_up(demo: list[dict[str, Any]]) -> None:
    orders = [call["properties"] for call in demo if call.get("event") == "Order Completed"]
    for order in orders:
        total = sum(item["price"] * item["quantity"] for item in order["products"])
        assert order["revenue"] == pytest.approx(total * (0.9 if "coupon" in order else 1), abs=0.006)
    buyers = Counter(call["userId"] for call in demo if call.get("event") == "Order Completed")
    assert 0.1 < sum(count > 1 for count in buyers.values()) / len(buyers) < 0.6, "some come back"


def test_traits_hold_no_address_that_could_exist(demo: list[dict[str, Any]]) -> None:
    emails = [call["traits"]["email"] for call in demo if call["type"] == "identify" and "email" in call["traits"]]
    assert len(emails) > 600
    assert all(email.endswith("@example.com") for email in emails)
