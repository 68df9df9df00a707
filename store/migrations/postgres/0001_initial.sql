-- What acme-ca keeps. The same tables and columns stand in ../sqlite, with the reasons; a test compares them.
--
-- Ids and names are compared by their bytes, as SQLite does: they sort alike on both, and faster.

CREATE TABLE account (
    id           TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    thumbprint   TEXT COLLATE "C" NOT NULL UNIQUE,
    jwk          TEXT NOT NULL,
    status       TEXT NOT NULL CHECK (status IN ('valid', 'deactivated', 'revoked')),
    contact      TEXT NOT NULL,
    terms_agreed BOOLEAN NOT NULL,
    created_at   BIGINT NOT NULL
);

CREATE TABLE orders (
    id          TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    account_id  TEXT COLLATE "C" NOT NULL REFERENCES account (id),
    status      TEXT NOT NULL CHECK (status IN ('pending', 'processing', 'valid', 'invalid')),
    identifiers TEXT NOT NULL,
    names       TEXT COLLATE "C" NOT NULL,
    profile     TEXT,
    not_before  BIGINT,
    not_after   BIGINT,
    created_at  BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL,
    error       TEXT,
    serial      TEXT COLLATE "C",
    csr         BYTEA
);

CREATE INDEX orders_account    ON orders (account_id, id);
CREATE INDEX orders_expiry     ON orders (expires_at, id);
CREATE INDEX orders_processing ON orders (id) WHERE status = 'processing';
CREATE INDEX orders_failed     ON orders (id) WHERE status = 'invalid';

CREATE TABLE authz (
    id               TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    account_id       TEXT COLLATE "C" NOT NULL REFERENCES account (id),
    order_id         TEXT COLLATE "C" NOT NULL,
    identifier_type  TEXT NOT NULL CHECK (identifier_type IN ('dns', 'ip')),
    identifier_value TEXT NOT NULL,
    wildcard         BOOLEAN NOT NULL,
    status           TEXT NOT NULL
        CHECK (status IN ('pending', 'valid', 'invalid', 'deactivated', 'expired', 'revoked')),
    token            TEXT NOT NULL,
    challenges       TEXT NOT NULL,
    attempted        TEXT,
    attempted_at     BIGINT,
    validated_at     BIGINT,
    created_at       BIGINT NOT NULL,
    expires_at       BIGINT NOT NULL,
    error            TEXT,
    evidence         TEXT
);

CREATE INDEX authz_processing ON authz (id) WHERE status = 'pending' AND attempted IS NOT NULL;

CREATE TABLE order_authz (
    order_id TEXT COLLATE "C" NOT NULL REFERENCES orders (id),
    position BIGINT NOT NULL,
    authz_id TEXT COLLATE "C" NOT NULL REFERENCES authz (id),
    PRIMARY KEY (order_id, position)
);

CREATE INDEX order_authz_authz ON order_authz (authz_id);

CREATE TABLE issuer (
    id          TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    certificate BYTEA NOT NULL,
    chain       TEXT NOT NULL,
    created_at  BIGINT NOT NULL
);

CREATE TABLE certificate (
    serial        TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    order_id      TEXT COLLATE "C",
    account_id    TEXT COLLATE "C",
    purpose       TEXT NOT NULL CHECK (purpose IN ('acme', 'server')),
    names         TEXT COLLATE "C" NOT NULL,
    issuer        TEXT NOT NULL REFERENCES issuer (id),
    spki          BYTEA NOT NULL,
    status        TEXT NOT NULL CHECK (status IN ('intended', 'issued', 'abandoned')),
    tbs           BYTEA,
    der           BYTEA,
    not_before    BIGINT NOT NULL,
    not_after     BIGINT NOT NULL,
    created_at    BIGINT NOT NULL,
    issued_at     BIGINT,
    superseded_by TEXT COLLATE "C"
);

CREATE UNIQUE INDEX certificate_intended ON certificate (order_id) WHERE status = 'intended';
CREATE INDEX certificate_current ON certificate (names)     WHERE status = 'issued' AND superseded_by IS NULL;
CREATE INDEX certificate_expiry  ON certificate (not_after) WHERE status = 'issued' AND superseded_by IS NULL;

CREATE TABLE audit (
    id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    at         BIGINT NOT NULL,
    event      TEXT NOT NULL,
    account_id TEXT COLLATE "C",
    order_id   TEXT COLLATE "C",
    serial     TEXT COLLATE "C",
    detail     TEXT
);
