-- Bearer tokens: several for each holder. What the columns mean stands with SQLite's script.

CREATE TABLE api_token (
    id         BYTEA NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    holder     BYTEA NOT NULL REFERENCES holder (id),
    label      TEXT COLLATE "C" NOT NULL CHECK (length(label) BETWEEN 1 AND 64),
    token_hash BYTEA NOT NULL UNIQUE CHECK (length(token_hash) = 32),
    scopes     BIGINT NOT NULL CHECK (scopes BETWEEN 0 AND 4294967295),
    created    BIGINT NOT NULL,
    used_day   BIGINT,
    expires    BIGINT,
    revoked    BIGINT
);

CREATE INDEX api_token_by_holder ON api_token (holder, id);

INSERT INTO api_token (id, holder, label, token_hash, scopes, created)
SELECT id, id, 'first', token_hash, 0, created FROM holder WHERE token_hash IS NOT NULL;

ALTER TABLE holder DROP COLUMN token_hash;
