-- See ../sqlite for the reasons.
CREATE TABLE outbox (
    id         TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    seq        BIGINT NOT NULL,
    key        TEXT COLLATE "C" NOT NULL,
    kind       TEXT NOT NULL,
    severity   TEXT NOT NULL,
    at         BIGINT NOT NULL,
    not_before BIGINT NOT NULL,
    message    TEXT NOT NULL,
    settled_at BIGINT
);

CREATE INDEX outbox_seq ON outbox (seq);
CREATE INDEX outbox_open ON outbox (seq) WHERE settled_at IS NULL;
CREATE INDEX outbox_settled ON outbox (settled_at) WHERE settled_at IS NOT NULL;

CREATE TABLE delivery (
    outbox_id TEXT COLLATE "C" NOT NULL REFERENCES outbox (id) ON DELETE CASCADE,
    sink      TEXT COLLATE "C" NOT NULL,
    result    TEXT NOT NULL,
    at        BIGINT NOT NULL,
    remote_id TEXT,
    detail    TEXT,
    PRIMARY KEY (outbox_id, sink)
);

CREATE TABLE sink (
    name          TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    failing_since BIGINT,
    failures      BIGINT NOT NULL,
    next_at       BIGINT,
    trouble       TEXT,
    detail        TEXT,
    told_at       BIGINT,
    delivered_at  BIGINT,
    replaces      BIGINT,
    beat_at       BIGINT
);

CREATE TABLE standing (
    key     TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    kind    TEXT NOT NULL,
    message TEXT NOT NULL,
    at      BIGINT NOT NULL
);

CREATE INDEX standing_now ON standing (key) WHERE kind <> 'resolved';
CREATE INDEX standing_over ON standing (at) WHERE kind = 'resolved';
