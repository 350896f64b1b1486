"""What the demo shop is made of: products, places, devices, campaigns, companies. Everything is invented."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final, NamedTuple
from uuid import UUID

WORKSPACE: Final = UUID("00000000-0000-4000-8000-000000000001")
"""The demo's workspace, the same everywhere."""
NAME: Final = "Demo shop"
TIMEZONE: Final = "Europe/Berlin"
START: Final = datetime(2026, 1, 1, tzinfo=UTC)
END: Final = datetime(2026, 7, 1, tzinfo=UTC)
"""No event is later; the workspace's clock stands here."""
PEOPLE: Final = 20_000
SEED: Final = 20_260_701
SITE: Final = "https://shop.example.com"


class Product(NamedTuple):
    """Prices are in EUR; `appeal` weighs how often it is looked at."""

    sku: str
    name: str
    category: str
    price: float
    appeal: float


_RANGE: Final = {
    "outdoor": (("Trail Tent", 189.0), ("Down Jacket", 149.9), ("Camping Stove", 59.5), ("Headlamp", 34.9)),
    "home": (("Linen Throw", 49.0), ("Oak Stool", 79.0), ("Table Lamp", 64.9), ("Wool Rug", 129.0)),
    "kitchen": (("Chef's Knife", 89.0), ("Cast Iron Pan", 69.9), ("Espresso Maker", 39.9), ("Bread Tin", 19.9)),
    "garden": (("Raised Bed", 99.0), ("Pruning Shears", 29.9), ("Watering Can", 24.5), ("Seed Set", 14.9)),
    "toys": (("Wooden Train", 44.9), ("Memory Game", 17.9), ("Kite", 22.9), ("Building Blocks", 36.9)),
    "books": (("Bread at Home", 28.0), ("Balcony Garden", 22.0), ("Slow Travel", 24.0), ("Knots", 16.0)),
}
PRODUCTS: Final = tuple(
    Product(f"{category[:3].upper()}-{number:03d}", name, category, price, 3.0 / (1 + number))
    for category, items in _RANGE.items()
    for number, (name, price) in enumerate(items, 1)
)
CATEGORIES: Final = tuple(_RANGE)


class Country(NamedTuple):
    """`weight`: share of visitors; `buys`: factor on every step of the funnel."""

    code: str
    name: str
    locale: str
    timezone: str
    hours: int
    city: str
    weight: float
    buys: float


COUNTRIES: Final = (
    Country("DE", "Germany", "de-DE", "Europe/Berlin", 1, "Berlin", 38, 1.08),
    Country("AT", "Austria", "de-AT", "Europe/Vienna", 1, "Vienna", 9, 1.05),
    Country("CH", "Switzerland", "de-CH", "Europe/Zurich", 1, "Zurich", 7, 1.12),
    Country("FR", "France", "fr-FR", "Europe/Paris", 1, "Lyon", 16, 0.94),
    Country("GB", "United Kingdom", "en-GB", "Europe/London", 0, "Leeds", 14, 1.0),
    Country("US", "United States", "en-US", "America/New_York", -5, "Boston", 10, 0.8),
    Country("PL", "Poland", "pl-PL", "Europe/Warsaw", 1, "Gdansk", 6, 0.86),
)


class Device(NamedTuple):
    """`buys`: factor on the steps after a product was seen."""

    type: str
    os: str
    os_version: str
    browser: str
    user_agent: str
    width: int
    height: int
    weight: float
    buys: float


DEVICES: Final = (
    Device("mobile", "iOS", "18.4", "Safari",
           "Mozilla/5.0 (iPhone; CPU iPhone OS 18_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
           "Version/18.4 Mobile/15E148 Safari/604.1", 393, 852, 33, 0.86),
    Device("mobile", "Android", "16", "Chrome",
           "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0.0.0 Mobile "
           "Safari/537.36", 412, 915, 27, 0.8),
    Device("desktop", "Windows", "11", "Edge",
           "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0.0.0 "
           "Safari/537.36 Edg/139.0.0.0", 1920, 1080, 22, 1.25),
    Device("desktop", "macOS", "15.5", "Safari",
           "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.4 "
           "Safari/605.1.15", 1512, 982, 12, 1.35),
    Device("tablet", "iPadOS", "18.4", "Safari",
           "Mozilla/5.0 (iPad; CPU OS 18_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.4 "
           "Mobile/15E148 Safari/604.1", 820, 1180, 6, 1.05),
)  # fmt: skip


class Campaign(NamedTuple):
    """Where a visit came from; `buys` as of countries."""

    name: str
    source: str
    medium: str
    referrer: str
    weight: float
    buys: float


CAMPAIGNS: Final = (
    Campaign("", "", "", "", 30, 1.05),
    Campaign("", "", "", "https://www.google.com/", 24, 1.0),
    Campaign("brand", "google", "cpc", "https://www.google.com/", 12, 1.2),
    Campaign("spring-sale", "instagram", "paid-social", "https://l.instagram.com/", 14, 0.72),
    Campaign("newsletter", "newsletter", "email", "", 12, 1.4),
    Campaign("partner-blog", "example-blog", "affiliate", "https://blog.example.org/", 8, 0.9),
)
FIRST_NAMES: Final = (
    "Anna", "Ben", "Clara", "David", "Elif", "Felix", "Greta", "Hugo", "Ida", "Jonas",
    "Katja", "Leo", "Mia", "Noah", "Olga", "Paul", "Rosa", "Sami", "Tom", "Vera",
)  # fmt: skip
LAST_NAMES: Final = (
    "Adler", "Becker", "Cohen", "Dubois", "Evans", "Fischer", "Garcia", "Huber", "Ivanov", "Jansen",
    "Keller", "Lopez", "Meyer", "Novak", "Okafor", "Peters", "Rossi", "Schmidt", "Turner", "Weber",
)  # fmt: skip
INDUSTRIES: Final = ("Hospitality", "Education", "Retail", "Software", "Health")
HOURS: Final = (1, 1, 1, 1, 1, 2, 4, 7, 9, 9, 9, 9, 11, 11, 10, 9, 9, 11, 14, 18, 21, 20, 13, 5)
"""Weight of each hour of a visitor's day."""
WEEKDAYS: Final = (1.0, 0.95, 0.95, 1.0, 1.05, 1.3, 1.5)
"""Weight of Monday to Sunday."""
MONTHS: Final = (0.85, 0.9, 1.0, 1.1, 1.25, 1.1)
"""Weight of January to June: spring is the season."""
