"""Generated files that look like the real ones."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random

_HEADER = "invoice_no,stock_code,description,quantity,invoice_date,unit_price,customer_id,country"
_START = datetime(2011, 1, 3, 8, 0, tzinfo=UTC)


def order_lines(lines: int, seed: int = 1) -> Iterator[bytes]:
    """Yield a CSV file of a shop's order lines, header first: invoices of some twenty lines, unknown customers,
    returns, quotes inside descriptions."""
    random = Random(seed)
    yield _HEADER.encode()
    at, done, invoice = _START, 0, 536_365
    while done < lines:
        invoice += 1
        at += timedelta(minutes=random.randrange(1, 40))
        customer = "" if random.random() < 0.2 else str(12_000 + int(random.paretovariate(0.5)) % 4_300)
        country = random.choice(("United Kingdom", "France", "Germany", "EIRE"))
        number = f"C{invoice}" if random.random() < 0.05 else str(invoice)
        sign = -1 if number.startswith("C") else 1
        for _ in range(min(random.randrange(1, 40), lines - done)):
            done += 1
            item = random.randrange(3_000)
            name = f'"ITEM {item} 7"" SINGLE, SIZE {item % 9}"' if item % 11 == 0 else f"ITEM {item} HOLDER"
            price = f"{random.randrange(1, 2_000) / 100:.2f}".rstrip("0").rstrip(".")
            quantity = sign * random.randrange(1, 25)
            yield (
                f"{number},{20_000 + item}{'A' if item % 7 == 0 else ''},{name},{quantity},"
                f"{at:%Y-%m-%dT%H:%M:%S},{price},{customer},{country}"
            ).encode()


def segment_calls(calls: int, seed: int = 1) -> Iterator[bytes]:
    """Yield track calls with a full context, about 1.5 kB each."""
    random = Random(seed)
    for number in range(calls):
        moment = _START + timedelta(seconds=number * 40)
        user = random.randrange(5_000)
        yield json.dumps(
            {
                "type": "track",
                "messageId": f"ajs-next-{seed}-{number:08d}-f2c1b7d4e6a8",
                "userId": f"user-{user}",
                "anonymousId": f"23adfd82-aa0f-45a7-a756-{user:012d}",
                "event": random.choice(("Product Viewed", "Product Added", "Checkout Started", "Order Completed")),
                "timestamp": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
                "properties": {
                    "product_id": f"sku-{random.randrange(900)}",
                    "name": "Trail Tent",
                    "category": "outdoor",
                    "price": random.randrange(100, 90_000) / 100,
                    "quantity": random.randrange(1, 4),
                    "currency": "EUR",
                    "position": random.randrange(20),
                    "url": "https://shop.example.com/products/trail-tent",
                },
                "context": {
                    "ip": f"203.0.113.{user % 256}",
                    "locale": "de-DE",
                    "timezone": "Europe/Berlin",
                    "userAgent": "Mozilla/5.0 (iPhone; CPU iPhone OS 18_4 like Mac OS X) AppleWebKit/605.1.15 "
                    "(KHTML, like Gecko) Version/18.4 Mobile/15E148 Safari/604.1",
                    "userAgentData": {"mobile": True, "platform": "iOS", "brands": [{"brand": "x", "version": "1"}]},
                    "library": {"name": "analytics.js", "version": "4.2.1"},
                    "campaign": {"name": "spring-sale", "source": "instagram", "medium": "paid-social", "term": "tent"},
                    "page": {
                        "path": "/products/trail-tent",
                        "url": f"https://shop.example.com/products/trail-tent?utm_campaign=spring-sale&v={number}",
                        "title": "Trail Tent",
                        "referrer": "https://l.instagram.com/",
                        "search": f"?utm_campaign=spring-sale&v={number}",
                    },
                    "device": {
                        "id": f"B5372DB0-C21E-11E4-8DFC-{user:012d}",
                        "manufacturer": "Apple",
                        "model": "iPhone17,1",
                        "name": "maguro",
                        "type": "ios",
                    },
                    "os": {"name": "iOS", "version": "18.4"},
                    "app": {"name": "shop-web", "version": "7.12.0", "build": "7.12.0.545"},
                    "network": {"bluetooth": False, "carrier": "Example Mobile", "cellular": True, "wifi": False},
                    "screen": {"width": 393, "height": 852, "density": 3},
                    "location": {"city": "Berlin", "country": "Germany", "latitude": 52.5, "longitude": 13.4},
                },
                "integrations": {"All": True},
            },
            separators=(",", ":"),
        ).encode()
