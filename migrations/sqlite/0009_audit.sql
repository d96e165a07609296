-- Who did what: docs/audit.md. A row an event, numbered within its chain; hash covers the row and the hash of the row before.
CREATE TABLE audit (
  chain BIGINT NOT NULL,
  seq BIGINT NOT NULL,
  at BIGINT NOT NULL,
  interaction TEXT NOT NULL,
  action TEXT NOT NULL,
  outcome BIGINT NOT NULL,
  client TEXT NOT NULL,
  agent TEXT NOT NULL,
  patient TEXT NOT NULL,
  what TEXT NOT NULL,
  rest TEXT NOT NULL,
  hash TEXT NOT NULL,
  PRIMARY KEY (chain, seq)
) WITHOUT ROWID;

-- Where events are found: by the references in them, and all of them by the empty one. Filled behind the writes, many at a time,
-- since each of its pages would make every write longer.
CREATE TABLE audit_index (
  reference TEXT NOT NULL,
  at BIGINT NOT NULL,
  chain BIGINT NOT NULL,
  seq BIGINT NOT NULL,
  PRIMARY KEY (reference, at, chain, seq)
) WITHOUT ROWID;

-- Up to where the chains of writes are in it.
CREATE TABLE audit_indexed (
  chain BIGINT NOT NULL,
  seq BIGINT NOT NULL,
  PRIMARY KEY (chain)
) WITHOUT ROWID;

-- What a chain's last row was at a time, signed.
CREATE TABLE audit_checkpoint (
  chain BIGINT NOT NULL,
  seq BIGINT NOT NULL,
  at BIGINT NOT NULL,
  hash TEXT NOT NULL,
  signature TEXT NOT NULL,
  PRIMARY KEY (chain, seq)
) WITHOUT ROWID;

-- The keys of the queries, one a month, wrapped by the server's secret: to destroy one is to forget the month's queries.
CREATE TABLE audit_key (
  name TEXT NOT NULL,
  wrapped TEXT NOT NULL,
  PRIMARY KEY (name)
) WITHOUT ROWID;
