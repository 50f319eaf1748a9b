-- Which secret of which endpoint each idempotency key made, and first answers to cancels. What they mean stands with SQLite's script.

CREATE TABLE webhook_secret_key (
    principal BYTEA  NOT NULL CHECK (length(principal) = 16),
    key       TEXT COLLATE "C" NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
    webhook   BYTEA  NOT NULL CHECK (length(webhook) = 16),
    secret    BIGINT NOT NULL CHECK (secret BETWEEN 1 AND 4294967295),
    at        BIGINT NOT NULL,
    PRIMARY KEY (principal, key)
);

CREATE TRIGGER webhook_secret_key_never_changes BEFORE UPDATE ON webhook_secret_key
    FOR EACH ROW EXECUTE FUNCTION never('an answer never changes');
CREATE TRIGGER webhook_secret_key_never_goes BEFORE DELETE ON webhook_secret_key
    FOR EACH ROW EXECUTE FUNCTION never('an answer is never deleted');

ALTER TABLE idempotency ADD COLUMN answer BYTEA CHECK (length(answer) BETWEEN 1 AND 4096);
