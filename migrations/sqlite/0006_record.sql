-- What the authorization server keeps: clients, users, sessions, tokens, keys. kind says what, body is its affair alone.
-- expires: microseconds since 1970; from then on the row counts as absent.
CREATE TABLE record (
  kind BIGINT NOT NULL,
  key TEXT NOT NULL,
  owner TEXT NOT NULL,
  version BIGINT NOT NULL,
  expires BIGINT NOT NULL,
  body TEXT NOT NULL,
  PRIMARY KEY (kind, key)
);
CREATE INDEX record_owner ON record (kind, owner, key);
CREATE INDEX record_expires ON record (expires);
