-- What a look at all names needs in order to read only those that need attention.

-- When a certificate may first leave the state `fresh`, at the earliest; and when somebody should look at it: then, or when
-- its client would be silent. Never too late, sometimes too early.
ALTER TABLE certificate ADD COLUMN fresh_until INTEGER;
ALTER TABLE certificate ADD COLUMN attention_at INTEGER;
-- How often a client polls, in seconds, learnt from its polls; a certificate begins with what its predecessor had learnt.
ALTER TABLE certificate ADD COLUMN polled_every INTEGER;
-- When its client first fetched it.
ALTER TABLE certificate ADD COLUMN downloaded_at INTEGER;

UPDATE certificate SET fresh_until = not_before + CASE
        WHEN not_after - not_before < 10 * 86400 THEN (not_after - not_before) / 4
        WHEN not_after - not_before < 30 * 86400 THEN (not_after - not_before) / 5 * 2
        ELSE (not_after - not_before) / 12 * 7 END
    WHERE status IN ('intended', 'issued') AND superseded_by IS NULL;
UPDATE certificate SET fresh_until = asked_start WHERE asked_start < fresh_until;
UPDATE certificate SET attention_at = CASE
        WHEN polled_at + 36 * 3600 < fresh_until THEN polled_at + 36 * 3600 ELSE fresh_until END
    WHERE fresh_until IS NOT NULL;

CREATE INDEX certificate_attention ON certificate (attention_at, serial)
    WHERE status = 'issued' AND superseded_by IS NULL AND revoked_at IS NULL;

-- The last order for a set of names; and those that failed, by name.
CREATE INDEX orders_names        ON orders (names, id);
CREATE INDEX orders_failed_names ON orders (names, id) WHERE status = 'invalid';

-- What the operator says about names: a name, `*.suffix`, or a whole set of names. Thresholds are in thousandths of a life.
CREATE TABLE care (
    subject      TEXT    NOT NULL PRIMARY KEY,
    owner        TEXT,
    muted_until  INTEGER,
    mute_reason  TEXT,
    forgotten_at INTEGER,
    warn         INTEGER,
    critical     INTEGER
) STRICT, WITHOUT ROWID;
