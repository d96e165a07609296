-- Full text and positions: docs/search.md, docs/adr/0012-full-text.md.

-- The words of each resource, folded, each once: t… of the narrative, c… of the content.
CREATE TABLE idx_text (
  rid BIGINT NOT NULL,
  param BIGINT NOT NULL,
  ord BIGINT NOT NULL,
  words TEXT COLLATE "C" NOT NULL,
  PRIMARY KEY (rid)
);

-- The index over them.
CREATE INDEX idx_text_words ON idx_text USING gin (string_to_array(words, ' '));

-- Positions as points on a sphere, in centimetres from its middle.
CREATE TABLE idx_position (
  rid BIGINT NOT NULL,
  param BIGINT NOT NULL,
  ord BIGINT NOT NULL,
  x BIGINT NOT NULL,
  y BIGINT NOT NULL,
  z BIGINT NOT NULL,
  PRIMARY KEY (param, x, y, z, rid, ord)
);
