-- The audit log. docs/audit-log.md says how a change becomes a sealed record.

-- What was noted before there was a log: kept, and not part of the chain.
ALTER TABLE event RENAME TO event_before_log;

-- What the sealer has not chained yet, in commit order: the record of one event, or the ids of the
-- transfers of one commit, 16 bytes each.
CREATE TABLE journal (
    seq       INTEGER NOT NULL PRIMARY KEY,
    record    BLOB,
    transfers BLOB CHECK (length(transfers) % 16 = 0),
    CHECK ((record IS NULL) <> (transfers IS NULL))
) STRICT;

CREATE TRIGGER journal_never_changes BEFORE UPDATE ON journal
BEGIN SELECT raise(ABORT, 'a journal row never changes'); END;

-- Transfers of before, so that the log holds all of them.
INSERT INTO journal (transfers) SELECT id FROM transfer ORDER BY at, id;

-- records: for each its length (4 bytes, most significant first), its bytes, its hash (32 bytes).
CREATE TABLE log_segment (
    number  INTEGER NOT NULL PRIMARY KEY CHECK (number >= 1),
    first   INTEGER NOT NULL UNIQUE CHECK (first >= 1),
    last    INTEGER NOT NULL UNIQUE CHECK (last >= first),
    hash    BLOB    NOT NULL CHECK (length(hash) = 32),
    records BLOB    NOT NULL,
    head    BLOB    NOT NULL
) STRICT;

CREATE TRIGGER log_segment_never_changes BEFORE UPDATE ON log_segment
BEGIN SELECT raise(ABORT, 'a segment never changes'); END;
CREATE TRIGGER log_segment_never_goes BEFORE DELETE ON log_segment
BEGIN SELECT raise(ABORT, 'a segment is never deleted'); END;

-- Who seals, and until when nobody else does.
CREATE TABLE log_lease (
    id    INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    owner BLOB    NOT NULL CHECK (length(owner) = 16),
    until INTEGER NOT NULL
) STRICT;

-- The signing keys that the log knows; their files hold the secrets.
CREATE TABLE signing_key (
    public     BLOB    NOT NULL PRIMARY KEY CHECK (length(public) = 32),
    revoked_at INTEGER
) STRICT, WITHOUT ROWID;
