-- See ../sqlite for the reasons.
CREATE TABLE alert (
    key TEXT COLLATE "C" PRIMARY KEY,
    rule TEXT COLLATE "C" NOT NULL,
    severity TEXT COLLATE "C" NOT NULL,
    state TEXT COLLATE "C" NOT NULL,
    since BIGINT NOT NULL,
    changed_at BIGINT NOT NULL,
    ended_at BIGINT,
    acked_at BIGINT,
    ack_reason TEXT COLLATE "C",
    body TEXT COLLATE "C" NOT NULL
);

CREATE INDEX alert_open ON alert (key) WHERE ended_at IS NULL;
CREATE INDEX alert_ended ON alert (ended_at) WHERE ended_at IS NOT NULL;

CREATE TABLE alert_event (
    at BIGINT NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    what TEXT COLLATE "C" NOT NULL,
    rule TEXT COLLATE "C" NOT NULL,
    severity TEXT COLLATE "C" NOT NULL,
    title TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (at, key, what)
);

CREATE INDEX alert_event_of ON alert_event (key, at);
