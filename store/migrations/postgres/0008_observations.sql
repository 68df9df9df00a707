-- What addresses really serve. See ../sqlite for the reasons.
CREATE TABLE observation (
    target    TEXT COLLATE "C" NOT NULL,
    address   TEXT COLLATE "C" NOT NULL,
    host      TEXT COLLATE "C" NOT NULL,
    verdict   TEXT NOT NULL,
    since     BIGINT NOT NULL,
    at        BIGINT NOT NULL,
    samples   BIGINT NOT NULL,
    serial    TEXT COLLATE "C",
    spki      TEXT,
    not_after BIGINT,
    product   TEXT,
    detail    TEXT NOT NULL,
    PRIMARY KEY (target, address)
);

CREATE INDEX observation_host ON observation (host);
-- The hosts of which something is not well.
CREATE INDEX observation_troubled ON observation (host) WHERE verdict <> 'ok';

CREATE TABLE observation_change (
    target    TEXT COLLATE "C" NOT NULL,
    at        BIGINT NOT NULL,
    address   TEXT COLLATE "C" NOT NULL,
    earlier   TEXT,
    verdict   TEXT NOT NULL,
    serial    TEXT COLLATE "C",
    detail    TEXT NOT NULL,
    PRIMARY KEY (target, at, address)
);
