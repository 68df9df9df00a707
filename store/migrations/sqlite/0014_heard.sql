-- Which sink was told that a condition holds, and not yet that it is over. Messages go after a while, conditions may last.
CREATE TABLE heard (
    key  TEXT NOT NULL,
    sink TEXT NOT NULL,
    at   INTEGER NOT NULL,
    PRIMARY KEY (key, sink)
) STRICT, WITHOUT ROWID;

CREATE INDEX heard_at ON heard (at);
