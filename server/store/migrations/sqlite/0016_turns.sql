-- What is not over is found without its status: an order whose commit is sent stays in the same indices.
-- (PostgreSQL's version 16 is about turns of several writers as well.)

DROP INDEX remittance_ending;
DROP INDEX remittance_replaced;
DROP INDEX remittance_undecided;
CREATE INDEX remittance_ending ON remittance (expires) WHERE ended IS NULL;
CREATE INDEX remittance_replaced ON remittance (id) WHERE ended IS NULL AND revision > 0;
CREATE INDEX remittance_undecided ON remittance (card) WHERE ended IS NULL;
