-- Whose record a version belongs to: the rid of the one patient, 0 nobody's, -1 several patients' or one kept elsewhere. A
-- deletion belongs to whom its forerunner belonged to. What was stored before belongs to nobody, and patients do not see
-- it, until tessera check --repair has run (docs/access.md).
ALTER TABLE resource ADD COLUMN patient BIGINT NOT NULL DEFAULT 0;
CREATE INDEX resource_patient ON resource (patient, type, rid);
ALTER TABLE resource_history ADD COLUMN patient BIGINT NOT NULL DEFAULT 0;

-- Answers that are fetched later are their caller's alone.
ALTER TABLE later ADD COLUMN owner TEXT NOT NULL DEFAULT '';
