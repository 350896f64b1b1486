-- migrate:up
-- Statements of custom SQL that were sent, for some time. They may hold ids of people: services/query/sql/history_store.py
-- forgets them by their text.
CREATE TABLE IF NOT EXISTS query.sql_history (
    id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL,
    query_id uuid NOT NULL, -- chosen by who asked: may come twice
    statement text NOT NULL,
    haystack text COLLATE "C" NOT NULL, -- to search in
    format text NOT NULL,
    principal text NOT NULL,
    status text NOT NULL CHECK (status IN ('running', 'finished', 'failed', 'cancelled', 'refused')),
    cancelled boolean NOT NULL DEFAULT false, -- somebody has asked for it
    error text,
    started_at timestamptz NOT NULL,
    ends_by timestamptz NOT NULL, -- whatever runs after this was lost with its process
    seconds double precision,
    rows_read bigint,
    bytes_read bigint,
    rows_returned bigint
);
CREATE INDEX IF NOT EXISTS sql_history_by_time ON query.sql_history (workspace_id, started_at DESC, id DESC);
CREATE INDEX IF NOT EXISTS sql_history_by_query ON query.sql_history (workspace_id, query_id);
CREATE INDEX IF NOT EXISTS sql_history_by_age ON query.sql_history (started_at);
CREATE INDEX IF NOT EXISTS sql_history_running ON query.sql_history (ends_by) WHERE status = 'running';

-- migrate:down
DROP TABLE IF EXISTS query.sql_history;
