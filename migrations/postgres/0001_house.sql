-- The tables of docs/search.md. The file of the same number in migrations/sqlite makes the same tables; a test compares.
-- Only BIGINT, DOUBLE PRECISION and TEXT, so that both databases mean the same by every column.

-- The current version of each resource, a deletion too. A row of version 0 stands for a resource that something refers to
-- and that does not exist yet. rid rises with creation and is never shown.
CREATE TABLE resource (
  rid BIGINT PRIMARY KEY,
  type BIGINT NOT NULL,
  id TEXT COLLATE "C" NOT NULL,
  version BIGINT NOT NULL,
  last_updated BIGINT NOT NULL,
  seq BIGINT NOT NULL,
  method BIGINT NOT NULL,
  deleted BIGINT NOT NULL,
  body TEXT COLLATE "C" NOT NULL
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
  body TEXT COLLATE "C" NOT NULL,
  PRIMARY KEY (rid, version)
);
CREATE INDEX resource_history_seq ON resource_history (seq);
CREATE INDEX resource_history_type_seq ON resource_history (type, seq);

-- One table a kind of search value. ord tells the components of one composite element apart.
CREATE TABLE idx_token (
  rid BIGINT NOT NULL,
  param BIGINT NOT NULL,
  ord BIGINT NOT NULL,
  system TEXT COLLATE "C" NOT NULL,
  code TEXT COLLATE "C" NOT NULL,
  PRIMARY KEY (param, code, rid, system, ord)
);

CREATE TABLE idx_reference (
  rid BIGINT NOT NULL,
  param BIGINT NOT NULL,
  ord BIGINT NOT NULL,
  target BIGINT NOT NULL,
  PRIMARY KEY (target, param, rid, ord)
);
CREATE INDEX idx_reference_rid ON idx_reference (rid, param, target);

CREATE TABLE idx_date (
  rid BIGINT NOT NULL,
  param BIGINT NOT NULL,
  ord BIGINT NOT NULL,
  low BIGINT NOT NULL,
  high BIGINT NOT NULL,
  PRIMARY KEY (param, low, high, rid, ord)
);
CREATE INDEX idx_date_rid ON idx_date (rid, param, low, high);

-- norm holds the first 500 bytes of the folded text, rest what follows: PostgreSQL refuses longer keys.
CREATE TABLE idx_string (
  rid BIGINT NOT NULL,
  param BIGINT NOT NULL,
  ord BIGINT NOT NULL,
  norm TEXT COLLATE "C" NOT NULL,
  rest TEXT COLLATE "C" NOT NULL,
  exact TEXT COLLATE "C" NOT NULL
);
CREATE INDEX idx_string_norm ON idx_string (param, norm, rid);
CREATE INDEX idx_string_rid ON idx_string (rid, param, norm);

CREATE TABLE idx_quantity (
  rid BIGINT NOT NULL,
  param BIGINT NOT NULL,
  ord BIGINT NOT NULL,
  low DOUBLE PRECISION NOT NULL,
  high DOUBLE PRECISION NOT NULL,
  system TEXT COLLATE "C" NOT NULL,
  code TEXT COLLATE "C" NOT NULL,
  unit TEXT COLLATE "C" NOT NULL,
  canonical_low DOUBLE PRECISION NOT NULL,
  canonical_high DOUBLE PRECISION NOT NULL,
  canonical_unit TEXT COLLATE "C" NOT NULL
);
CREATE INDEX idx_quantity_low ON idx_quantity (param, low, rid);
CREATE INDEX idx_quantity_canonical ON idx_quantity (param, canonical_unit, canonical_low, rid);
CREATE INDEX idx_quantity_rid ON idx_quantity (rid, param, low);

CREATE TABLE idx_uri (
  rid BIGINT NOT NULL,
  param BIGINT NOT NULL,
  ord BIGINT NOT NULL,
  value TEXT COLLATE "C" NOT NULL,
  version TEXT COLLATE "C" NOT NULL,
  PRIMARY KEY (param, value, rid, version, ord)
);

-- Whoever writes on a condition claims it here first, so that equal conditions take turns (REL-9).
CREATE TABLE claim (
  type BIGINT NOT NULL,
  criteria TEXT COLLATE "C" NOT NULL,
  claimed BIGINT NOT NULL,
  PRIMARY KEY (type, criteria)
);

-- What was answered to a request with an Idempotency-Key: the same request again gets the same answer (REL-16).
CREATE TABLE idempotency (
  key TEXT COLLATE "C" NOT NULL,
  request TEXT COLLATE "C" NOT NULL,
  made BIGINT NOT NULL,
  answer TEXT COLLATE "C" NOT NULL,
  PRIMARY KEY (key)
);

-- Numbers the server keeps about this database: what base URL its index was made with, and so on.
CREATE TABLE setting (
  name TEXT COLLATE "C" NOT NULL,
  value TEXT COLLATE "C" NOT NULL,
  PRIMARY KEY (name)
);

CREATE SEQUENCE rid AS BIGINT;

-- Numbers the transaction and reads the clock under one lock, so that both rise together: a reader of the change feed that
-- stops below the oldest open transaction misses nothing (docs/adr/0008-change-sequence.md). The lock is given back at once; it must not wait for the commit.
CREATE FUNCTION tessera_stamp(OUT seq BIGINT, OUT at BIGINT) LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_advisory_lock(8319661405123);
  BEGIN
    seq := pg_current_xact_id()::text::bigint;
    at := (extract(epoch FROM clock_timestamp()) * 1000000)::bigint;
  EXCEPTION WHEN query_canceled OR OTHERS THEN
    PERFORM pg_advisory_unlock(8319661405123);
    RAISE;
  END;
  PERFORM pg_advisory_unlock(8319661405123);
  seq := seq + coalesce((SELECT value::bigint FROM setting WHERE name = 'seq_base'), 0);
END $$;

-- Below this number every transaction has ended.
CREATE FUNCTION tessera_horizon() RETURNS BIGINT LANGUAGE sql STABLE AS $$
  SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint
    + coalesce((SELECT value::bigint FROM setting WHERE name = 'seq_base'), 0)
$$;
