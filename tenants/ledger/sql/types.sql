-- Shapes that the functions pass to each other, and how the tables are kept. Run once.

-- One posting to be written: debit positive, credit negative. `tenant` is read for partners'
-- accounts only: whose the others are, the chart says.
CREATE TYPE ledger_entry AS (tenant text, kind text, ref text, currency text, amount numeric);

-- What was sold, net of tax.
CREATE TYPE ledger_line AS (revenue text, net numeric);

-- What may pay for a charge. `available` has the tax in it.
CREATE TYPE charge_source AS (grant_id text, taxed boolean, available numeric, of_hold boolean);

-- Rows that change with every charge: room beside them, so that no index has to change with them.
ALTER TABLE wallet SET (fillfactor = 60);
ALTER TABLE credit_grant SET (fillfactor = 60);
ALTER TABLE budget_spend SET (fillfactor = 60);
ALTER TABLE hold SET (fillfactor = 80);
