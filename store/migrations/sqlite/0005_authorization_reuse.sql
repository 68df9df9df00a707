-- An authorization that holds may serve later orders of its account (RFC 8555 7.4.1, 7.5): found by the name.
CREATE INDEX authz_valid ON authz (account_id, identifier_value, expires_at) WHERE status = 'valid';

-- Those of newAuthz belong to no order (their order_id is empty), so they end by themselves.
CREATE INDEX authz_alone ON authz (expires_at) WHERE order_id = '';
