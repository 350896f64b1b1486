"""What people do in the demo shop: each visit as calls, in order of time.

A visit walks down the funnel Product Viewed, Product Added, Checkout Started, Order Completed and leaves it where the
odds of its country, device, campaign and person say so. Whoever checks out signs up first, or logs in.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Final

from deploy.cli.demo.calls import Page, Recorder, campaign_context, day_of, device_context, dumps
from deploy.cli.demo.people import Browser, Person, Visit, population
from deploy.cli.demo.world import CAMPAIGNS, CATEGORIES, INDUSTRIES, PEOPLE, PRODUCTS, SEED, Product

_APPEALS: Final = [product.appeal for product in PRODUCTS]
_PAGES: Final = {product.sku: Page(f"/products/{product.sku.lower()}", product.name, "", "") for product in PRODUCTS}
_CATEGORY_PAGES: Final = {name: Page(f"/{name}", name.title()) for name in CATEGORIES}
_CART: Final = Page("/cart", "Cart")
_CHECKOUT: Final = Page("/checkout", "Checkout")
_SIGN_UP: Final = Page("/sign-up", "Sign up")
_THANKS: Final = Page("/thank-you", "Thank you")
_BLOCK: Final = 3_000


def calls(size: int = PEOPLE) -> Iterator[str]:
    """Yield every call of so many people as a line of JSON, roughly in order of time; the same lines on every run."""
    people, visits = population(size)
    random = Random(SEED + 1)  # noqa: S311 - a demo, which has to be the same every time
    recorder = Recorder(random)
    shop = _Shop(random, recorder)
    for visit in visits:
        shop.visit(people[visit.person], visit)
        if len(recorder.lines) >= _BLOCK:
            yield from recorder.lines
            recorder.lines.clear()
    yield from recorder.lines


class _Shop:
    def __init__(self, random: Random, recorder: Recorder) -> None:
        self.random = random
        self.recorder = recorder
        self.at = 0
        self.campaign = ""
        self.order = 0

    def visit(self, person: Person, visit: Visit) -> None:
        """Record one visit."""
        random = self.random
        browser = person.browsers[visit.browser]
        browser.context = browser.context or device_context(person, browser, person.number)
        campaign = random.choices(CAMPAIGNS, [item.weight for item in CAMPAIGNS])[0]
        self.at, self.campaign = visit.at, campaign_context(campaign)
        search = f"?utm_campaign={campaign.name}&utm_source={campaign.source}" if campaign.name else ""
        landing = Page("/", "Home", campaign.referrer, search)
        if person.signed_up and random.random() < 0.6:
            self.log_in(person, browser, landing)
        elif browser.user not in ("", person.user_id):
            # Somebody else of the household was logged in here.
            browser.user = ""
        self.page(browser, landing)
        # Who has bought before does so more easily.
        odds = person.country.buys * campaign.buys * (0.55 + 0.9 * person.keen + 0.2 * min(person.orders, 2))
        basket = self.browse(person, browser, odds)
        if not basket:
            return
        self.page(browser, _CART)
        if random.random() > min(0.95, 0.55 * odds * browser.device.buys):
            if random.random() < 0.35:
                item = basket.pop()
                self.track(browser, _CART, "Product Removed", dumps(_properties(item)))
            return
        self.check_out(person, browser, basket, odds)

    def browse(self, person: Person, browser: Browser, odds: float) -> list[Product]:
        """Look at products; return those put into the cart."""
        random = self.random
        basket: list[Product] = []
        if random.random() < 0.25:
            category = random.choice(CATEGORIES)
            self.page(browser, _CATEGORY_PAGES[category])
            if random.random() < 0.4:
                query = random.choice(PRODUCTS).name.split()[-1].lower()
                self.track(browser, _CATEGORY_PAGES[category], "Products Searched", dumps({"query": query}))
        looks = 0
        while random.random() < 0.77 and looks < 10:
            looks += 1
            product = random.choices(PRODUCTS, _APPEALS)[0]
            page = _PAGES[product.sku]
            if random.random() < 0.35:
                self.page(browser, page)
            self.track(browser, page, "Product Viewed", dumps(_properties(product)))
            if random.random() < min(0.9, 0.2 * odds * browser.device.buys):
                basket.append(product)
                self.track(browser, page, "Product Added", dumps({**_properties(product), "quantity": 1}))
        return basket

    def check_out(self, person: Person, browser: Browser, basket: list[Product], odds: float) -> None:
        """Start to pay; most go through with it."""
        random = self.random
        order = {"order_id": f"order-{self.order + 1:06d}", "value": round(sum(p.price for p in basket), 2)}
        self.track(browser, _CHECKOUT, "Checkout Started", dumps({**order, "items": len(basket)}))
        if not person.signed_up:
            if random.random() < 0.12:
                return
            self.sign_up(person, browser)
        elif browser.user != person.user_id:
            self.log_in(person, browser, _CHECKOUT)
        if random.random() > min(0.96, 0.72 * odds * browser.device.buys):
            if random.random() < 0.2:
                self.track(browser, _CHECKOUT, "Payment Failed", dumps({**order, "reason": "declined"}))
            return
        self.order += 1
        person.orders += 1
        self.complete(person, browser, basket, str(order["order_id"]))

    def complete(self, person: Person, browser: Browser, basket: list[Product], order_id: str) -> None:
        """Buy what is in the cart."""
        random = self.random
        items = [{**_properties(item), "quantity": random.choice((1, 1, 1, 2))} for item in basket]
        subtotal = sum(float(str(item["price"])) * int(str(item["quantity"])) for item in items)
        coupon = "WELCOME10" if person.orders == 1 and random.random() < 0.3 else None
        revenue = round(subtotal * (0.9 if coupon else 1.0), 2)
        properties = {
            "order_id": order_id,
            "revenue": revenue,
            "shipping": 0 if revenue >= 50 else 4.9,
            "currency": "EUR",
            "payment": random.choice(("card", "card", "paypal", "invoice")),
            "first": person.orders == 1,
            "products": items,
        }
        if coupon:
            properties["coupon"] = coupon
        self.page(browser, _THANKS)
        self.track(browser, _THANKS, "Order Completed", dumps(properties))
        if person.orders == 3 and person.plan == "free":
            person.plan = "plus"
            traits = dumps({"plan": "plus", "orders": person.orders})
            self.record("identify", browser, _THANKS, "", traits)

    def sign_up(self, person: Person, browser: Browser) -> None:
        """Become known: the anonymous past of this browser becomes the person's."""
        random = self.random
        person.signed_up = True
        person.plan = random.choices(("free", "plus", "pro"), (80, 15, 5))[0]
        self.page(browser, _SIGN_UP)
        browser.user = person.user_id
        traits = {
            "email": person.email,
            "name": f"{person.first} {person.last}",
            "plan": person.plan,
            "country": person.country.code,
            "created_at": day_of(self.at),
            "newsletter": random.random() < 0.6,
            "address": {"city": person.country.city, "country": person.country.name},
        }
        self.record("identify", browser, _SIGN_UP, "", dumps(traits))
        self.track(browser, _SIGN_UP, "Signed Up", dumps({"method": random.choice(("email", "email", "google"))}))
        if person.company:
            number = person.company
            company = {
                "name": f"Company {number:03d}",
                "industry": INDUSTRIES[number % len(INDUSTRIES)],
                "employees": 5 + number * 7 % 400,
            }
            self.record("group", browser, _SIGN_UP, f'"groupId":"company-{number:03d}",', dumps(company))

    def log_in(self, person: Person, browser: Browser, page: Page) -> None:
        """Be known on this browser, maybe a second one or one that is shared."""
        if browser.user == person.user_id:
            return
        browser.user = person.user_id
        self.record("identify", browser, page, "", dumps({"plan": person.plan, "country": person.country.code}))
        self.track(browser, page, "Logged In", "{}")

    def page(self, browser: Browser, page: Page) -> None:
        """Record a page view."""
        self.record("page", browser, page, f'"name":{dumps(page.title)},', page.json)

    def track(self, browser: Browser, page: Page, event: str, properties: str) -> None:
        """Record a track call."""
        self.record("track", browser, page, f'"event":"{event}",', properties)

    def record(self, kind: str, browser: Browser, page: Page, fields: str, properties: str) -> None:
        """Record a call and let some seconds pass."""
        self.recorder.call(kind, self.at, browser, page, self.campaign, fields, properties)
        self.at += 1_000 + int(self.random.expovariate(1 / 25_000))


def _properties(product: Product) -> dict[str, object]:
    return {
        "product_id": product.sku,
        "name": product.name,
        "category": product.category,
        "price": product.price,
        "currency": "EUR",
    }
