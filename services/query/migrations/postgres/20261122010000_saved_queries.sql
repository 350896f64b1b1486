-- migrate:up
-- Definitions are texts that hold JSON: jsonb cannot keep every character that a predicate may compare with.
CREATE TABLE IF NOT EXISTS query.saved_queries (
    id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL,
    version integer NOT NULL CHECK (version > 0),
    name text NOT NULL,
    description text NOT NULL,
    tags text[] NOT NULL,
    kind text NOT NULL,
    definition text NOT NULL,
    folded_name text COLLATE "C" NOT NULL, -- to sort by
    haystack text COLLATE "C" NOT NULL, -- to search in
    created_at timestamptz NOT NULL,
    created_by text NOT NULL,
    updated_at timestamptz NOT NULL,
    updated_by text NOT NULL,
    deleted_at timestamptz
);
CREATE INDEX IF NOT EXISTS saved_queries_by_change ON query.saved_queries (workspace_id, updated_at DESC, id DESC);
CREATE INDEX IF NOT EXISTS saved_queries_by_name ON query.saved_queries (workspace_id, folded_name, id);
CREATE INDEX IF NOT EXISTS saved_queries_deleted ON query.saved_queries (deleted_at) WHERE deleted_at IS NOT NULL;

-- Every version, the newest among them.
CREATE TABLE IF NOT EXISTS query.saved_query_versions (
    query_id uuid NOT NULL REFERENCES query.saved_queries (id) ON DELETE CASCADE,
    version integer NOT NULL,
    name text NOT NULL,
    description text NOT NULL,
    tags text[] NOT NULL,
    kind text NOT NULL,
    definition text NOT NULL,
    created_at timestamptz NOT NULL,
    created_by text NOT NULL,
    PRIMARY KEY (query_id, version)
);

-- migrate:down
DROP TABLE IF EXISTS query.saved_query_versions;
DROP TABLE IF EXISTS query.saved_queries;
