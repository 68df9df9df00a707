-- The keys that an account had before its present one. Records of dns-persist-01 name an account by a key, and hold when it
-- is changed.

CREATE TABLE account_key (
    account_id TEXT    NOT NULL REFERENCES account (id),
    thumbprint TEXT    NOT NULL,
    until      INTEGER NOT NULL,
    PRIMARY KEY (account_id, thumbprint)
) STRICT, WITHOUT ROWID;
