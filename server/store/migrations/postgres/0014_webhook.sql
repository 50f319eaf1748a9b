-- Where events of a holder's orders are sent. What the columns mean stands with SQLite's script.

CREATE TABLE webhook (
    id           BYTEA NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    holder       BYTEA NOT NULL REFERENCES holder (id),
    url          TEXT COLLATE "C" NOT NULL CHECK (length(url) BETWEEN 1 AND 500),
    secret       BIGINT NOT NULL CHECK (secret BETWEEN 0 AND 4294967295),
    before_until BIGINT,
    created      BIGINT NOT NULL,
    disabled     TEXT COLLATE "C" CHECK (disabled IN ('gone', 'dead-letters')),
    since        BIGINT,
    served       BIGINT NOT NULL,
    UNIQUE (holder, url)
);

CREATE TABLE webhook_delivery (
    webhook  BYTEA NOT NULL REFERENCES webhook (id),
    event    BYTEA NOT NULL CHECK (length(event) = 16),
    what     TEXT COLLATE "C" NOT NULL,
    body     BYTEA NOT NULL,
    at       BIGINT NOT NULL,
    status   TEXT COLLATE "C" NOT NULL CHECK (status IN ('queued', 'dead')),
    attempts BIGINT NOT NULL CHECK (attempts >= 0),
    due      BIGINT NOT NULL,
    error    TEXT COLLATE "C",
    PRIMARY KEY (webhook, event)
);

CREATE INDEX webhook_delivery_due ON webhook_delivery (webhook, due) WHERE status = 'queued';

CREATE TABLE webhook_cursor (
    id      BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    segment BIGINT NOT NULL CHECK (segment >= 0)
);

INSERT INTO webhook_cursor (id, segment) VALUES (1, 0);
