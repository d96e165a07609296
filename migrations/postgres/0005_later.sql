-- Requests that are answered later, and their answers. beat: when the server that performs it last said so.
CREATE TABLE later (
  id TEXT COLLATE "C" NOT NULL,
  made BIGINT NOT NULL,
  beat BIGINT NOT NULL,
  state BIGINT NOT NULL,
  answer TEXT COLLATE "C" NOT NULL,
  PRIMARY KEY (id)
);
