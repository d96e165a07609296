-- References in the index of events by 64 bits of a hash instead of their text: its rows are less than half as long. It is filled
-- again from the events, whichever chain they are of.
DROP TABLE audit_index;
CREATE TABLE audit_index (
  reference BIGINT NOT NULL,
  at BIGINT NOT NULL,
  chain BIGINT NOT NULL,
  seq BIGINT NOT NULL,
  PRIMARY KEY (reference, at, chain, seq)
);
DELETE FROM audit_indexed;
