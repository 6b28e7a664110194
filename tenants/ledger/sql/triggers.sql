-- The database's own check that books balance. Run once.

CREATE CONSTRAINT TRIGGER ledger_balances AFTER INSERT ON ledger_posting
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION ledger_check_balance();
