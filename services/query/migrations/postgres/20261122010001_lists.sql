-- migrate:up
CREATE TABLE IF NOT EXISTS query.lists (
    id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL,
    state text NOT NULL CHECK (state IN ('building', 'ready', 'deleted')),
    name text NOT NULL,
    description text NOT NULL,
    source text NOT NULL, -- JSON
    size integer NOT NULL DEFAULT 0,
    facts text NOT NULL DEFAULT '', -- JSON: `meta` of its computation
    folded_name text COLLATE "C" NOT NULL,
    haystack text COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by text NOT NULL
);
CREATE INDEX IF NOT EXISTS lists_by_age ON query.lists (workspace_id, created_at DESC, id DESC);
CREATE INDEX IF NOT EXISTS lists_by_name ON query.lists (workspace_id, folded_name, id);
CREATE INDEX IF NOT EXISTS lists_unready ON query.lists (created_at) WHERE state <> 'ready';

-- No foreign key: a million of its checks take longer than the rows. Rows of a list go before the list.
CREATE TABLE IF NOT EXISTS query.list_actors (
    list_id uuid NOT NULL,
    position integer NOT NULL, -- from 1, in the order of the source
    kind text NOT NULL CHECK (kind IN ('user', 'anonymous')),
    id bytea NOT NULL, -- UTF-8: an id may hold NUL, which a text cannot
    PRIMARY KEY (list_id, position)
);

-- migrate:down
DROP TABLE IF EXISTS query.list_actors;
DROP TABLE IF EXISTS query.lists;
