-- Whoever writes leaves its number: for each session the number of its last commit, by which it finds out what
-- became of one whose answer was lost, and notices a database that was put back; and whose commit was the last
-- of all, so that what a session knows of the rows counts for as long as nobody else has written. Marks of
-- each commit, which went after an hour, did not tell a session that had been silent for longer from one whose
-- commits were lost.

DROP TABLE writer_mark;

CREATE TABLE writer (
    session TEXT        NOT NULL PRIMARY KEY,
    commits BIGINT      NOT NULL,
    at      TIMESTAMPTZ NOT NULL DEFAULT now()
) WITH (fillfactor = 10);

CREATE TABLE writer_last (
    id      BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    session TEXT   NOT NULL,
    commits BIGINT NOT NULL
) WITH (fillfactor = 10);

INSERT INTO writer_last (id, session, commits) VALUES (1, '', 0);

-- What is not over is found without its status, and pages keep room for the next version of a row: so an order whose
-- commit is sent stays where it is, and none of the indices has to be told.

ALTER TABLE remittance SET (fillfactor = 80);
DROP INDEX remittance_ending;
DROP INDEX remittance_replaced;
DROP INDEX remittance_undecided;
CREATE INDEX remittance_ending ON remittance (expires) WHERE ended IS NULL;
CREATE INDEX remittance_replaced ON remittance (id) WHERE ended IS NULL AND revision > 0;
CREATE INDEX remittance_undecided ON remittance (card) WHERE ended IS NULL;
