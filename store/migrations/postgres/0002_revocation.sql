-- Revocation, RFC 8555 7.6, and the lists of what is revoked, RFC 5280 5. The reasons stand in ../sqlite.

ALTER TABLE certificate ADD COLUMN revoked_at BIGINT;
ALTER TABLE certificate ADD COLUMN revocation_reason TEXT CHECK (revocation_reason IN (
    'unspecified', 'keyCompromise', 'affiliationChanged', 'superseded', 'cessationOfOperation', 'privilegeWithdrawn'));

CREATE INDEX certificate_revoked ON certificate (issuer, not_after) WHERE revoked_at IS NOT NULL;
CREATE INDEX certificate_spki ON certificate (spki);

CREATE TABLE blocked_key (
    spki       BYTEA NOT NULL PRIMARY KEY,
    blocked_at BIGINT NOT NULL
);

CREATE TABLE crl (
    issuer      TEXT NOT NULL PRIMARY KEY REFERENCES issuer (id),
    number      BIGINT NOT NULL,
    this_update BIGINT NOT NULL,
    next_update BIGINT NOT NULL
);

CREATE TABLE revision (
    what   TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    number BIGINT NOT NULL
);
