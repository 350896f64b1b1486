"""The profile service: one person, whole: traits, ids, timeline; merging, and forgetting."""
