-- Full text and positions: docs/search.md, docs/adr/0012-full-text.md.

-- The words of each resource, folded, each once: t… of the narrative, c… of the content.
CREATE TABLE idx_text (
  rid INTEGER PRIMARY KEY,
  param BIGINT NOT NULL,
  ord BIGINT NOT NULL,
  words TEXT NOT NULL
);

-- The index over them. ascii: a word is a run of letters, digits and whatever is not ASCII, which is how words are made.
CREATE VIRTUAL TABLE idx_text_words USING fts5 (
  words, content = 'idx_text', content_rowid = 'rid', detail = none, columnsize = 0, tokenize = 'ascii'
);
CREATE TRIGGER idx_text_insert AFTER INSERT ON idx_text BEGIN
  INSERT INTO idx_text_words (rowid, words) VALUES (new.rid, new.words);
END;
CREATE TRIGGER idx_text_delete AFTER DELETE ON idx_text BEGIN
  INSERT INTO idx_text_words (idx_text_words, rowid, words) VALUES ('delete', old.rid, old.words);
END;

-- Positions as points on a sphere, in centimetres from its middle.
CREATE TABLE idx_position (
  rid BIGINT NOT NULL,
  param BIGINT NOT NULL,
  ord BIGINT NOT NULL,
  x BIGINT NOT NULL,
  y BIGINT NOT NULL,
  z BIGINT NOT NULL,
  PRIMARY KEY (param, x, y, z, rid, ord)
) WITHOUT ROWID;
