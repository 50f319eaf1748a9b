-- Bearer tokens: several for each holder, each with a name, its scopes and an end.

-- id: that of the holder for the token that a holder began with.
-- scopes: one bit each, 0 for all (server/ledger/src/token.rs). used_day: days since 1970-01-01 UTC.
CREATE TABLE api_token (
    id         BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    holder     BLOB    NOT NULL REFERENCES holder (id),
    label      TEXT    NOT NULL CHECK (length(label) BETWEEN 1 AND 64),
    token_hash BLOB    NOT NULL UNIQUE CHECK (length(token_hash) = 32),
    scopes     INTEGER NOT NULL CHECK (scopes BETWEEN 0 AND 4294967295),
    created    INTEGER NOT NULL,
    used_day   INTEGER,
    expires    INTEGER,
    revoked    INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX api_token_by_holder ON api_token (holder, id);

INSERT INTO api_token (id, holder, label, token_hash, scopes, created)
SELECT id, id, 'first', token_hash, 0, created FROM holder WHERE token_hash IS NOT NULL;

-- Made anew, since SQLite cannot drop a column that is unique.
CREATE TABLE holder_13 (
    id       BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    name     TEXT    NOT NULL,
    email    TEXT,
    language TEXT    NOT NULL,
    created  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO holder_13 (id, name, email, language, created)
SELECT id, name, email, language, created FROM holder;
DROP TABLE holder;
ALTER TABLE holder_13 RENAME TO holder;
