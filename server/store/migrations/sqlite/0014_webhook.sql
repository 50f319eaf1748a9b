-- Where events of a holder's orders are sent, and what waits to be sent.

-- secret: which of the endpoint's secrets counts, from 0; they follow from a key file. before_until: until
-- when the one before signs too. since: position in the audit log of the record by which it began to listen.
-- served: its turn, the lowest first.
CREATE TABLE webhook (
    id           BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    holder       BLOB    NOT NULL REFERENCES holder (id),
    url          TEXT    NOT NULL CHECK (length(url) BETWEEN 1 AND 500),
    secret       INTEGER NOT NULL CHECK (secret BETWEEN 0 AND 4294967295),
    before_until INTEGER,
    created      INTEGER NOT NULL,
    disabled     TEXT    CHECK (disabled IN ('gone', 'dead-letters')),
    since        INTEGER,
    served       INTEGER NOT NULL,
    UNIQUE (holder, url)
) STRICT, WITHOUT ROWID;

-- Goes once it was delivered. event: the first bytes of the log's hash at its record.
CREATE TABLE webhook_delivery (
    webhook  BLOB    NOT NULL REFERENCES webhook (id),
    event    BLOB    NOT NULL CHECK (length(event) = 16),
    what     TEXT    NOT NULL,
    body     BLOB    NOT NULL,
    at       INTEGER NOT NULL,
    status   TEXT    NOT NULL CHECK (status IN ('queued', 'dead')),
    attempts INTEGER NOT NULL CHECK (attempts >= 0),
    due      INTEGER NOT NULL,
    error    TEXT,
    PRIMARY KEY (webhook, event)
) STRICT, WITHOUT ROWID;

CREATE INDEX webhook_delivery_due ON webhook_delivery (webhook, due) WHERE status = 'queued';

-- The last segment of the audit log whose events are queued.
CREATE TABLE webhook_cursor (
    id      INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    segment INTEGER NOT NULL CHECK (segment >= 0)
) STRICT;

INSERT INTO webhook_cursor (id, segment) VALUES (1, 0);
