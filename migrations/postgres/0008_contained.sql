-- Contained resources: docs/search.md, "Contained resources". Their rids are below zero and tell the container's.
CREATE TABLE contained (
  rid BIGINT NOT NULL,
  type BIGINT NOT NULL,
  id TEXT COLLATE "C" NOT NULL,
  PRIMARY KEY (rid)
);
CREATE INDEX contained_type ON contained (type, rid);

-- Whatever a chain may lead to. Without the CAST neither database looks into the view: its columns would differ in type.
CREATE VIEW searched AS
  SELECT rid, type, id, deleted FROM resource
  UNION ALL
  SELECT rid, type, id, CAST(0 AS BIGINT) FROM contained;
