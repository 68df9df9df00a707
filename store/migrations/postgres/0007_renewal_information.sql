-- See ../sqlite for the reasons.
ALTER TABLE certificate ADD COLUMN polled_at BIGINT;
ALTER TABLE certificate ADD COLUMN asked_start BIGINT;
ALTER TABLE certificate ADD COLUMN asked_end BIGINT;

CREATE INDEX certificate_past ON certificate (names, issued_at) WHERE status = 'issued' AND superseded_by IS NOT NULL;

ALTER TABLE orders ADD COLUMN replaces TEXT COLLATE "C";

CREATE INDEX orders_replaces ON orders (replaces) WHERE replaces IS NOT NULL;
