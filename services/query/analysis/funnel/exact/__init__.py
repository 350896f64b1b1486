"""The deciding chain of one actor, for every funnel there can be: pure functions over its events (docs/funnel.md)."""
