-- Whose record a version belongs to: the rid of the one patient, 0 nobody's, -1 several patients' or one kept elsewhere. A
-- deletion belongs to whom its forerunner belonged to. It stands before the body, which is long. What was stored before
-- belongs to nobody, and patients do not see it, until tessera check --repair has run (docs/access.md).
CREATE TABLE resource_new (
  rid INTEGER PRIMARY KEY,
  type BIGINT NOT NULL,
  id TEXT NOT NULL,
  version BIGINT NOT NULL,
  last_updated BIGINT NOT NULL,
  seq BIGINT NOT NULL,
  method BIGINT NOT NULL,
  deleted BIGINT NOT NULL,
  patient BIGINT NOT NULL DEFAULT 0,
  body TEXT NOT NULL
);
INSERT INTO resource_new (rid, type, id, version, last_updated, seq, method, deleted, body)
  SELECT rid, type, id, version, last_updated, seq, method, deleted, body FROM resource;
DROP TABLE resource;
ALTER TABLE resource_new RENAME TO resource;
CREATE UNIQUE INDEX resource_type_id ON resource (type, id);
CREATE INDEX resource_type_rid ON resource (type, rid);
CREATE INDEX resource_type_last_updated ON resource (type, last_updated, rid);
CREATE INDEX resource_seq ON resource (seq);
CREATE INDEX resource_type_seq ON resource (type, seq);
CREATE INDEX resource_patient ON resource (patient, type, rid);

CREATE TABLE resource_history_new (
  rid BIGINT NOT NULL,
  type BIGINT NOT NULL,
  version BIGINT NOT NULL,
  last_updated BIGINT NOT NULL,
  seq BIGINT NOT NULL,
  method BIGINT NOT NULL,
  patient BIGINT NOT NULL DEFAULT 0,
  body TEXT NOT NULL,
  PRIMARY KEY (rid, version)
) WITHOUT ROWID;
INSERT INTO resource_history_new (rid, type, version, last_updated, seq, method, body)
  SELECT rid, type, version, last_updated, seq, method, body FROM resource_history;
DROP TABLE resource_history;
ALTER TABLE resource_history_new RENAME TO resource_history;
CREATE INDEX resource_history_seq ON resource_history (seq);
CREATE INDEX resource_history_type_seq ON resource_history (type, seq);

-- Answers that are fetched later are their caller's alone.
ALTER TABLE later ADD COLUMN owner TEXT NOT NULL DEFAULT '';
