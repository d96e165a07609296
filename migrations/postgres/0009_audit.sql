-- Who did what: docs/audit.md. A row an event, numbered within its chain; hash covers the row and the hash of the row before.
CREATE TABLE audit (
  chain BIGINT NOT NULL,
  seq BIGINT NOT NULL,
  at BIGINT NOT NULL,
  interaction TEXT COLLATE "C" NOT NULL,
  action TEXT COLLATE "C" NOT NULL,
  outcome BIGINT NOT NULL,
  client TEXT COLLATE "C" NOT NULL,
  agent TEXT COLLATE "C" NOT NULL,
  patient TEXT COLLATE "C" NOT NULL,
  what TEXT COLLATE "C" NOT NULL,
  rest TEXT COLLATE "C" NOT NULL,
  hash TEXT COLLATE "C" NOT NULL,
  PRIMARY KEY (chain, seq)
);

-- Where events are found: by the references in them, and all of them by the empty one. Filled behind the writes, many at a time,
-- since each of its pages would make every write longer.
CREATE TABLE audit_index (
  reference TEXT COLLATE "C" NOT NULL,
  at BIGINT NOT NULL,
  chain BIGINT NOT NULL,
  seq BIGINT NOT NULL,
  PRIMARY KEY (reference, at, chain, seq)
);

-- Up to where the chains of writes are in it.
CREATE TABLE audit_indexed (
  chain BIGINT NOT NULL,
  seq BIGINT NOT NULL,
  PRIMARY KEY (chain)
);

-- What a chain's last row was at a time, signed.
CREATE TABLE audit_checkpoint (
  chain BIGINT NOT NULL,
  seq BIGINT NOT NULL,
  at BIGINT NOT NULL,
  hash TEXT COLLATE "C" NOT NULL,
  signature TEXT COLLATE "C" NOT NULL,
  PRIMARY KEY (chain, seq)
);

-- The keys of the queries, one a month, wrapped by the server's secret: to destroy one is to forget the month's queries.
CREATE TABLE audit_key (
  name TEXT COLLATE "C" NOT NULL,
  wrapped TEXT COLLATE "C" NOT NULL,
  PRIMARY KEY (name)
);
