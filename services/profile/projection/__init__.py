"""Profiles from events: a pure function of the event tables, links, merges, blocked ids and suppressions.

    from services.profile.projection import project

    await identity.reload_identity(resources.clickhouse, cluster=…)  # when links or merges were written
    changes = await project(resources, workspace, keys)

`project` makes the profiles of whoever has one of some keys what they must be, whatever they were; whoever changes to
whom an id belongs calls it with the ids concerned. Repeating it changes nothing.
"""

from services.profile.projection.project import project

__all__ = ["project"]
