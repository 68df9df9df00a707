-- See ../sqlite for the reasons.
ALTER TABLE certificate ADD COLUMN fresh_until BIGINT;
ALTER TABLE certificate ADD COLUMN attention_at BIGINT;
ALTER TABLE certificate ADD COLUMN polled_every BIGINT;
ALTER TABLE certificate ADD COLUMN downloaded_at BIGINT;

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

CREATE INDEX orders_names        ON orders (names, id);
CREATE INDEX orders_failed_names ON orders (names, id) WHERE status = 'invalid';

CREATE TABLE care (
    subject      TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    owner        TEXT,
    muted_until  BIGINT,
    mute_reason  TEXT,
    forgotten_at BIGINT,
    warn         BIGINT,
    critical     BIGINT
);
