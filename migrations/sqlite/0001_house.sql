-- The tables of docs/search.md. The file of the same number in migrations/postgres makes the same tables; a test compares.
-- Only BIGINT, DOUBLE PRECISION and TEXT, so that both databases mean the same by every column.

-- The current version of each resource, a deletion too. A row of version 0 stands for a resource that something refers to
-- and that does not exist yet. rid rises with creation and is never shown.
CREATE TABLE resource (
  rid INTEGER PRIMARY KEY,
  type BIGINT NOT NULL,
  id TEXT NOT NULL,
  version BIGINT NOT NULL,
  last_updated BIGINT NOT NULL,
  seq BIGINT NOT NULL,
  method BIGINT NOT NULL,
  deleted BIGINT NOT NULL,
  body TEXT NOT NULL
);
CREATE UNIQUE INDEX resource_type_id ON resource (type, id);
CREATE INDEX resource_type_rid ON resource (type, rid);
CREATE INDEX resource_type_last_updated ON resource (type, last_updated, rid);
CREATE INDEX resource_seq ON resource (seq);
CREATE INDEX resource_type_seq ON resource (type, seq);

-- Superseded versions, deletions among them.
CREATE TABLE resource_history (
  rid BIGINT NOT NULL,
  type BIGINT NOT NULL,
  version BIGINT NOT NULL,
  last_updated BIGINT NOT NULL,
  seq BIGINT NOT NULL,
  method BIGINT NOT NULL,
  body TEXT NOT NULL,
  PRIMARY KEY (rid, version)
) WITHOUT ROWID;
CREATE INDEX resource_history_seq ON resource_history (seq);
CREATE INDEX resource_history_type_seq ON resource_history (type, seq);

-- One table a kind of search value. ord tells the components of one composite element apart.
CREATE TABLE idx_token (
  rid BIGINT NOT NULL,
  param BIGINT NOT NULL,
  ord BIGINT NOT NULL,
  system TEXT NOT NULL,
  code TEXT NOT NULL,
  PRIMARY KEY (param, code, rid, system, ord)
) WITHOUT ROWID;

CREATE TABLE idx_reference (
  rid BIGINT NOT NULL,
  param BIGINT NOT NULL,
  ord BIGINT NOT NULL,
  target BIGINT NOT NULL,
  PRIMARY KEY (target, param, rid, ord)
) WITHOUT ROWID;
CREATE INDEX idx_reference_rid ON idx_reference (rid, param, target);

CREATE TABLE idx_date (
  rid BIGINT NOT NULL,
  param BIGINT NOT NULL,
  ord BIGINT NOT NULL,
  low BIGINT NOT NULL,
  high BIGINT NOT NULL,
  PRIMARY KEY (param, low, high, rid, ord)
) WITHOUT ROWID;
CREATE INDEX idx_date_rid ON idx_date (rid, param, low, high);

-- norm holds the first 500 bytes of the folded text, rest what follows: PostgreSQL refuses longer keys.
CREATE TABLE idx_string (
  rid BIGINT NOT NULL,
  param BIGINT NOT NULL,
  ord BIGINT NOT NULL,
  norm TEXT NOT NULL,
  rest TEXT NOT NULL,
  exact TEXT NOT NULL
);
CREATE INDEX idx_string_norm ON idx_string (param, norm, rid);
CREATE INDEX idx_string_rid ON idx_string (rid, param, norm);

CREATE TABLE idx_quantity (
  rid BIGINT NOT NULL,
  param BIGINT NOT NULL,
  ord BIGINT NOT NULL,
  low DOUBLE PRECISION NOT NULL,
  high DOUBLE PRECISION NOT NULL,
  system TEXT NOT NULL,
  code TEXT NOT NULL,
  unit TEXT NOT NULL,
  canonical_low DOUBLE PRECISION NOT NULL,
  canonical_high DOUBLE PRECISION NOT NULL,
  canonical_unit TEXT NOT NULL
);
CREATE INDEX idx_quantity_low ON idx_quantity (param, low, rid);
CREATE INDEX idx_quantity_canonical ON idx_quantity (param, canonical_unit, canonical_low, rid);
CREATE INDEX idx_quantity_rid ON idx_quantity (rid, param, low);

CREATE TABLE idx_uri (
  rid BIGINT NOT NULL,
  param BIGINT NOT NULL,
  ord BIGINT NOT NULL,
  value TEXT NOT NULL,
  version TEXT NOT NULL,
  PRIMARY KEY (param, value, rid, version, ord)
) WITHOUT ROWID;

-- Whoever writes on a condition claims it here first, so that equal conditions take turns (REL-9).
CREATE TABLE claim (
  type BIGINT NOT NULL,
  criteria TEXT NOT NULL,
  claimed BIGINT NOT NULL,
  PRIMARY KEY (type, criteria)
) WITHOUT ROWID;

-- What was answered to a request with an Idempotency-Key: the same request again gets the same answer (REL-16).
CREATE TABLE idempotency (
  key TEXT NOT NULL,
  request TEXT NOT NULL,
  made BIGINT NOT NULL,
  answer TEXT NOT NULL,
  PRIMARY KEY (key)
) WITHOUT ROWID;

-- Numbers the server keeps about this database: what base URL its index was made with, and so on.
CREATE TABLE setting (
  name TEXT NOT NULL,
  value TEXT NOT NULL,
  PRIMARY KEY (name)
) WITHOUT ROWID;
