-- What stored SearchParameters define, a row for each type of each of them (docs/search.md, "Stored search parameters").
-- param is the number of its index rows, those of its components follow; rid is the SearchParameter's. done is the highest
-- rid that a resource indexed, or verified, or cleared for it has.
CREATE TABLE search_parameter (
  param BIGINT NOT NULL,
  rid BIGINT NOT NULL,
  type BIGINT NOT NULL,
  code TEXT NOT NULL,
  definition TEXT NOT NULL,
  state BIGINT NOT NULL,
  done BIGINT NOT NULL,
  PRIMARY KEY (param)
) WITHOUT ROWID;
CREATE INDEX search_parameter_rid ON search_parameter (rid);
CREATE INDEX search_parameter_code ON search_parameter (type, code);

-- Counts the states of that table.
INSERT INTO setting (name, value) VALUES ('search_parameters', '1');
