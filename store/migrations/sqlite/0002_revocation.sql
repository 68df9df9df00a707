-- Revocation, RFC 8555 7.6, and the lists of what is revoked, RFC 5280 5. The same stands in ../postgres.

ALTER TABLE certificate ADD COLUMN revoked_at INTEGER;
ALTER TABLE certificate ADD COLUMN revocation_reason TEXT CHECK (revocation_reason IN (
    'unspecified', 'keyCompromise', 'affiliationChanged', 'superseded', 'cessationOfOperation', 'privilegeWithdrawn'));

-- What the list of an issuer holds: nothing but revoked certificates stands in it, by their end.
CREATE INDEX certificate_revoked ON certificate (issuer, not_after) WHERE revoked_at IS NOT NULL;
-- The certificates of a key that was lost. Intents too: one that is under way is revoked before it is issued.
CREATE INDEX certificate_spki ON certificate (spki);

-- Keys that are accepted nowhere any more: the SHA-256 of a SubjectPublicKeyInfo.
CREATE TABLE blocked_key (
    spki       BLOB    NOT NULL PRIMARY KEY,
    blocked_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The last list of an issuer. Its number never falls.
CREATE TABLE crl (
    issuer      TEXT    NOT NULL PRIMARY KEY REFERENCES issuer (id),
    number      INTEGER NOT NULL,
    this_update INTEGER NOT NULL,
    next_update INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- How often something changed that servers hold in memory: one read tells whether to read the rest.
CREATE TABLE revision (
    what   TEXT    NOT NULL PRIMARY KEY,
    number INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
