-- See ../sqlite for the reasons.
CREATE TABLE external_account (
    id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    label      TEXT NOT NULL,
    mac_key    BYTEA NOT NULL,
    allow      TEXT,
    profiles   TEXT,
    reusable   BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    revoked_at BIGINT,
    bound_at   BIGINT
);

ALTER TABLE account ADD COLUMN external_account TEXT COLLATE "C" REFERENCES external_account (id);
ALTER TABLE account ADD COLUMN binding TEXT;

CREATE INDEX account_external ON account (external_account) WHERE external_account IS NOT NULL;
