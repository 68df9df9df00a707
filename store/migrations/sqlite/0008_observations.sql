-- What addresses really serve, as probes saw it last: one row for each address of each target, and one with an empty address
-- for what is said of a target as a whole. The same stands in ../postgres.
CREATE TABLE observation (
    target    TEXT    NOT NULL,
    address   TEXT    NOT NULL,
    host      TEXT    NOT NULL,
    verdict   TEXT    NOT NULL,
    since     INTEGER NOT NULL,
    at        INTEGER NOT NULL,
    samples   INTEGER NOT NULL,
    serial    TEXT,
    spki      TEXT,
    not_after INTEGER,
    product   TEXT,
    detail    TEXT    NOT NULL,
    PRIMARY KEY (target, address)
) STRICT, WITHOUT ROWID;

-- What is served for a name, whichever its targets are.
CREATE INDEX observation_host ON observation (host);
-- The hosts of which something is not well.
CREATE INDEX observation_troubled ON observation (host) WHERE verdict <> 'ok';

-- How verdicts changed: the latest changes of each target, which go when the target goes. `earlier` is empty for the first.
CREATE TABLE observation_change (
    target    TEXT    NOT NULL,
    at        INTEGER NOT NULL,
    address   TEXT    NOT NULL,
    earlier   TEXT,
    verdict   TEXT    NOT NULL,
    serial    TEXT,
    detail    TEXT    NOT NULL,
    PRIMARY KEY (target, at, address)
) STRICT, WITHOUT ROWID;
