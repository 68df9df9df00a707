-- Keys that the operator gives out, by which a new account shows whose it is (RFC 8555 7.3.4). A key is never deleted: the
-- accounts that it made keep their limits.
CREATE TABLE external_account (
    id         TEXT    NOT NULL PRIMARY KEY,
    label      TEXT    NOT NULL,
    mac_key    BLOB    NOT NULL,
    allow      TEXT,
    profiles   TEXT,
    reusable   INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    revoked_at INTEGER,
    bound_at   INTEGER
) STRICT, WITHOUT ROWID;

-- The key that the account was made with, and the binding as its client sent it, which is shown again.
ALTER TABLE account ADD COLUMN external_account TEXT REFERENCES external_account (id);
ALTER TABLE account ADD COLUMN binding TEXT;

CREATE INDEX account_external ON account (external_account) WHERE external_account IS NOT NULL;
