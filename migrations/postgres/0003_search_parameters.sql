-- What stored SearchParameters define, a row for each type of each of them (docs/search.md, "Stored search parameters").
-- param is the number of its index rows, those of its components follow; rid is the SearchParameter's. done is the highest
-- rid that a resource indexed, or verified, or cleared for it has.
CREATE TABLE search_parameter (
  param BIGINT NOT NULL,
  rid BIGINT NOT NULL,
  type BIGINT NOT NULL,
  code TEXT COLLATE "C" NOT NULL,
  definition TEXT COLLATE "C" NOT NULL,
  state BIGINT NOT NULL,
  done BIGINT NOT NULL,
  PRIMARY KEY (param)
);
CREATE INDEX search_parameter_rid ON search_parameter (rid);
CREATE INDEX search_parameter_code ON search_parameter (type, code);

-- Counts the states of that table. A sequence, since its value is seen whatever a transaction's snapshot is.
CREATE SEQUENCE search_parameters AS BIGINT;
-- The first call of nextval alone would not raise last_value.
SELECT nextval('search_parameters');

-- As before, and tells which state of the search parameters holds while this transaction runs: whoever changes it takes the
-- lock alone, and so waits for all who write by the old one.
DROP FUNCTION tessera_stamp();
CREATE FUNCTION tessera_stamp(OUT seq BIGINT, OUT at BIGINT, OUT parameters BIGINT) LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_advisory_xact_lock_shared(8319661405124);
  parameters := (SELECT last_value FROM search_parameters);
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
