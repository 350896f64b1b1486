"""Finding profiles by what is known of them: pages, batches and streams. Meanings: docs/profiles.md."""
