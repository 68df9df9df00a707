-- RFC 9773. When a client last asked when to renew a certificate, and the window that the operator asked for instead of
-- the one that follows from its dates.
ALTER TABLE certificate ADD COLUMN polled_at INTEGER;
ALTER TABLE certificate ADD COLUMN asked_start INTEGER;
ALTER TABLE certificate ADD COLUMN asked_end INTEGER;

-- The earlier certificates of a set of names. A certificate comes into it when it is superseded, so that the first
-- issuance of a name pays nothing.
CREATE INDEX certificate_past ON certificate (names, issued_at) WHERE status = 'issued' AND superseded_by IS NOT NULL;

-- The certificate that an order is to replace, as its client named it. It is replaced when the order is valid.
ALTER TABLE orders ADD COLUMN replaces TEXT;

CREATE INDEX orders_replaces ON orders (replaces) WHERE replaces IS NOT NULL;
