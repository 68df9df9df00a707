-- What people are to be told, until everybody was told who is to be. Whom the configuration names is not known here: a
-- row waits for whoever has no delivery of it.
CREATE TABLE outbox (
    id         TEXT PRIMARY KEY NOT NULL,
    -- The order in which they were put; it may have gaps.
    seq        INTEGER NOT NULL,
    key        TEXT NOT NULL,
    kind       TEXT NOT NULL,
    severity   TEXT NOT NULL,
    at         INTEGER NOT NULL,
    not_before INTEGER NOT NULL,
    message    TEXT NOT NULL,
    -- When nobody was left to be told.
    settled_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX outbox_seq ON outbox (seq);
CREATE INDEX outbox_open ON outbox (seq) WHERE settled_at IS NULL;
CREATE INDEX outbox_settled ON outbox (settled_at) WHERE settled_at IS NOT NULL;

-- What became of a message at a sink. No row: it is still to be told.
CREATE TABLE delivery (
    outbox_id TEXT NOT NULL REFERENCES outbox (id) ON DELETE CASCADE,
    sink      TEXT NOT NULL,
    result    TEXT NOT NULL,
    at        INTEGER NOT NULL,
    -- What the server calls it.
    remote_id TEXT,
    detail    TEXT,
    PRIMARY KEY (outbox_id, sink)
) STRICT, WITHOUT ROWID;

-- How a sink is. A sink that was never tried has no row.
CREATE TABLE sink (
    name          TEXT PRIMARY KEY NOT NULL,
    -- Since when every try failed.
    failing_since INTEGER,
    failures      INTEGER NOT NULL,
    next_at       INTEGER,
    -- The word for the last failure, and its sentence.
    trouble       TEXT,
    detail        TEXT,
    -- When others were told that it fails.
    told_at       INTEGER,
    delivered_at  INTEGER,
    -- Whether it puts later messages in the place of earlier ones.
    replaces      INTEGER,
    -- When its dead man's switch was wound up.
    beat_at       INTEGER
) STRICT, WITHOUT ROWID;

-- The last word about each condition, for those who have to hear it again and again while it stands.
CREATE TABLE standing (
    key     TEXT PRIMARY KEY NOT NULL,
    kind    TEXT NOT NULL,
    message TEXT NOT NULL,
    at      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX standing_now ON standing (key) WHERE kind <> 'resolved';
CREATE INDEX standing_over ON standing (at) WHERE kind = 'resolved';
