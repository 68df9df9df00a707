-- Alerts: what holds or held of which lineages, and whom it was told. The row's body is the alert as the program knows it;
-- the columns are what is asked for.
CREATE TABLE alert (
    key TEXT PRIMARY KEY,
    rule TEXT NOT NULL,
    severity TEXT NOT NULL,
    state TEXT NOT NULL,
    since INTEGER NOT NULL,
    changed_at INTEGER NOT NULL,
    -- Null while it is not over.
    ended_at INTEGER,
    -- Who knows of it is said by the operator, while the server writes the rest.
    acked_at INTEGER,
    ack_reason TEXT,
    body TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX alert_open ON alert (key) WHERE ended_at IS NULL;
CREATE INDEX alert_ended ON alert (ended_at) WHERE ended_at IS NOT NULL;

-- What happened to alerts. The same does not happen twice to one at one moment, so a change that is made again adds nothing.
CREATE TABLE alert_event (
    at INTEGER NOT NULL,
    key TEXT NOT NULL,
    what TEXT NOT NULL,
    rule TEXT NOT NULL,
    severity TEXT NOT NULL,
    title TEXT NOT NULL,
    PRIMARY KEY (at, key, what)
) STRICT, WITHOUT ROWID;

CREATE INDEX alert_event_of ON alert_event (key, at);
