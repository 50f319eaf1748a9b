-- Each commit leaves its number with the session that made it, by which the session finds out what became of one
-- whose answer was lost, and notices a database that was put back. Marks of each commit, which went after an
-- hour, did not tell a session that had been silent for longer from one whose commits were lost.

DROP TABLE writer_mark;

CREATE TABLE writer (
    session TEXT        NOT NULL PRIMARY KEY,
    commits BIGINT      NOT NULL CHECK (commits >= 1),
    at      TIMESTAMPTZ NOT NULL DEFAULT now()
) WITH (fillfactor = 10);

-- What is not over is found without its status, and pages keep room for the next version of a row: so an order whose
-- commit is sent stays where it is, and none of the indices has to be told.

ALTER TABLE remittance SET (fillfactor = 80);
DROP INDEX remittance_ending;
DROP INDEX remittance_replaced;
DROP INDEX remittance_undecided;
CREATE INDEX remittance_ending ON remittance (expires) WHERE ended IS NULL;
CREATE INDEX remittance_replaced ON remittance (id) WHERE ended IS NULL AND revision > 0;
CREATE INDEX remittance_undecided ON remittance (card) WHERE ended IS NULL;
