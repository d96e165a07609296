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
CREATE INDEX audit_at ON audit (at);
CREATE INDEX audit_agent ON audit (agent, at) WHERE agent <> '';
CREATE INDEX audit_patient ON audit (patient, at) WHERE patient <> '';
CREATE INDEX audit_what ON audit (what, at) WHERE what <> '';

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
