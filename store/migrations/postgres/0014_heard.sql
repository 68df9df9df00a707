CREATE TABLE heard (
    key  TEXT COLLATE "C" NOT NULL,
    sink TEXT COLLATE "C" NOT NULL,
    at   BIGINT NOT NULL,
    PRIMARY KEY (key, sink)
);

CREATE INDEX heard_at ON heard (at);
