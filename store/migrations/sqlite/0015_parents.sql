-- What a wildcard covers: the host without its first label. Hosts below a wildcard belong to its certificate.
ALTER TABLE observation ADD COLUMN parent TEXT;
UPDATE observation SET parent = substr(host, instr(host, '.') + 1) WHERE instr(host, '.') > 0;
CREATE INDEX observation_parent ON observation (parent);
