-- See ../sqlite for the reasons.
CREATE INDEX authz_valid ON authz (account_id, identifier_value, expires_at) WHERE status = 'valid';

CREATE INDEX authz_alone ON authz (expires_at) WHERE order_id = '';
