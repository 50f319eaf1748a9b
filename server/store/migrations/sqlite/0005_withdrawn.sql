-- Templates that were withdrawn: no program made of one may run, and none is honoured.

ALTER TABLE template ADD COLUMN withdrawn INTEGER;

-- What the status list names: open remittances whose first program was replaced.
CREATE INDEX remittance_replaced ON remittance (id) WHERE status = 'open' AND revision > 0;
