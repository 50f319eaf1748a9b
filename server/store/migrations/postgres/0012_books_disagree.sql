-- A case that the audit opened has a kind of its own: its evidence is text, not what a card said.

ALTER TABLE freeze_case DROP CONSTRAINT freeze_case_kind_check;
ALTER TABLE freeze_case ALTER COLUMN kind DROP DEFAULT;

-- The findings of before begin with the name of their check and two spaces.
UPDATE freeze_case SET kind = 'books-disagree'
WHERE substr(evidence, 1, 26) = convert_to('account-is-its-transfers  ', 'UTF8')
   OR substr(evidence, 1, 22) = convert_to('card-is-proven-value  ', 'UTF8');

ALTER TABLE freeze_case ADD CONSTRAINT freeze_case_kind_check
    CHECK (kind IN ('unexplained-state', 'old-card-seen', 'books-disagree'));
