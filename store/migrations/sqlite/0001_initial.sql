-- What acme-ca keeps. The same tables and columns stand in ../postgres; a test compares them.
--
-- Text ids sort by age, so rows that are made together lie together. Time is unix seconds. A table is WITHOUT ROWID
-- where its rows are small and are found by their id alone; certificates are not: their serials are random, and a big
-- row that is put in at a random place splits pages.

CREATE TABLE account (
    id           TEXT    NOT NULL PRIMARY KEY,
    thumbprint   TEXT    NOT NULL UNIQUE,
    jwk          TEXT    NOT NULL,
    status       TEXT    NOT NULL CHECK (status IN ('valid', 'deactivated', 'revoked')),
    contact      TEXT    NOT NULL,
    terms_agreed INTEGER NOT NULL,
    created_at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- `ready` is never kept: it follows from the authorizations.
CREATE TABLE orders (
    id          TEXT    NOT NULL PRIMARY KEY,
    account_id  TEXT    NOT NULL REFERENCES account (id),
    status      TEXT    NOT NULL CHECK (status IN ('pending', 'processing', 'valid', 'invalid')),
    identifiers TEXT    NOT NULL,
    names       TEXT    NOT NULL,
    profile     TEXT,
    not_before  INTEGER,
    not_after   INTEGER,
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL,
    error       TEXT,
    serial      TEXT,
    csr         BLOB
) STRICT, WITHOUT ROWID;

CREATE INDEX orders_account    ON orders (account_id, id);
CREATE INDEX orders_expiry     ON orders (expires_at, id);
CREATE INDEX orders_processing ON orders (id) WHERE status = 'processing';
CREATE INDEX orders_failed     ON orders (id) WHERE status = 'invalid';

-- `order_id` is the order that made it. It is no foreign key: a later order may use the authorization and outlive the
-- first one.
CREATE TABLE authz (
    id               TEXT    NOT NULL PRIMARY KEY,
    account_id       TEXT    NOT NULL REFERENCES account (id),
    order_id         TEXT    NOT NULL,
    identifier_type  TEXT    NOT NULL CHECK (identifier_type IN ('dns', 'ip')),
    identifier_value TEXT    NOT NULL,
    wildcard         INTEGER NOT NULL,
    status           TEXT    NOT NULL
        CHECK (status IN ('pending', 'valid', 'invalid', 'deactivated', 'expired', 'revoked')),
    token            TEXT    NOT NULL,
    challenges       TEXT    NOT NULL,
    attempted        TEXT,
    attempted_at     INTEGER,
    validated_at     INTEGER,
    created_at       INTEGER NOT NULL,
    expires_at       INTEGER NOT NULL,
    error            TEXT,
    evidence         TEXT
) STRICT, WITHOUT ROWID;

CREATE INDEX authz_processing ON authz (id) WHERE status = 'pending' AND attempted IS NOT NULL;

CREATE TABLE order_authz (
    order_id TEXT    NOT NULL REFERENCES orders (id),
    position INTEGER NOT NULL,
    authz_id TEXT    NOT NULL REFERENCES authz (id),
    PRIMARY KEY (order_id, position)
) STRICT, WITHOUT ROWID;

CREATE INDEX order_authz_authz ON order_authz (authz_id);

-- A chain is kept once, and an old certificate still gets the chain of its own issuer.
CREATE TABLE issuer (
    id          TEXT    NOT NULL PRIMARY KEY,
    certificate BLOB    NOT NULL,
    chain       TEXT    NOT NULL,
    created_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- `order_id` and `account_id` are no foreign keys: certificates outlive their orders.
CREATE TABLE certificate (
    serial        TEXT    NOT NULL PRIMARY KEY,
    order_id      TEXT,
    account_id    TEXT,
    purpose       TEXT    NOT NULL CHECK (purpose IN ('acme', 'server')),
    names         TEXT    NOT NULL,
    issuer        TEXT    NOT NULL REFERENCES issuer (id),
    spki          BLOB    NOT NULL,
    status        TEXT    NOT NULL CHECK (status IN ('intended', 'issued', 'abandoned')),
    tbs           BLOB,
    der           BLOB,
    not_before    INTEGER NOT NULL,
    not_after     INTEGER NOT NULL,
    created_at    INTEGER NOT NULL,
    issued_at     INTEGER,
    superseded_by TEXT
) STRICT;

-- One order never has two live intents; this is also the list that start-up settles.
CREATE UNIQUE INDEX certificate_intended ON certificate (order_id) WHERE status = 'intended';
-- The current certificate of a set of names, and the current ones by their end.
CREATE INDEX certificate_current ON certificate (names)     WHERE status = 'issued' AND superseded_by IS NULL;
CREATE INDEX certificate_expiry  ON certificate (not_after) WHERE status = 'issued' AND superseded_by IS NULL;

CREATE TABLE audit (
    id         TEXT    NOT NULL PRIMARY KEY,
    at         INTEGER NOT NULL,
    event      TEXT    NOT NULL,
    account_id TEXT,
    order_id   TEXT,
    serial     TEXT,
    detail     TEXT
) STRICT, WITHOUT ROWID;
