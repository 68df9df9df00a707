-- The keys that an account had before its present one. Records of dns-persist-01 name an account by a key, and hold when it
-- is changed.

CREATE TABLE account_key (
    account_id text   NOT NULL REFERENCES account (id),
    thumbprint text   NOT NULL,
    until      bigint NOT NULL,
    PRIMARY KEY (account_id, thumbprint)
);
