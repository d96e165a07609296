-- Up to which version the history of a resource was purged, so that tessera check can tell that from a loss.
CREATE TABLE history_purge (
  rid BIGINT NOT NULL,
  version BIGINT NOT NULL,
  PRIMARY KEY (rid)
);
