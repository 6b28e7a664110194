-- The chart of accounts, as in tenants/ledger/chart.py (a test compares).

CREATE OR REPLACE FUNCTION ledger_chart() RETURNS TABLE (kind text, owner text)
LANGUAGE sql IMMUTABLE AS $$
    VALUES ('receivable', 'customer'), ('grant', 'customer'),
        ('revenue', 'platform'), ('contra_revenue', 'platform'), ('credit_offset', 'platform'),
        ('cash', 'platform'), ('provider_fee', 'platform'), ('provider_pending', 'platform'),
        ('provider_available', 'platform'), ('provider_payout', 'platform'),
        ('provider_dispute', 'platform'), ('tax_payable', 'platform'), ('rounding', 'platform'),
        ('bad_debt', 'platform'), ('fx_trading', 'platform'), ('fx_gain', 'platform'),
        ('partner_share', 'platform'),
        ('partner_pending', 'partner'), ('partner_available', 'partner'),
        ('partner_paid', 'partner'), ('partner_receivable', 'partner')
$$;

CREATE OR REPLACE FUNCTION ledger_revenue_lines() RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
    SELECT ARRAY['tokens', 'training', 'evaluation', 'storage', 'deployments', 'plugins',
                 'services', 'plan', 'commitment', 'breakage']
$$;

-- The order in which credit is used.
CREATE OR REPLACE FUNCTION wallet_rank(_kind text) RETURNS int LANGUAGE sql IMMUTABLE AS $$
    SELECT array_position(ARRAY['allowance', 'promotion', 'paid'], _kind)
$$;

CREATE OR REPLACE FUNCTION ledger_platform() RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
    platform text;
BEGIN
    SELECT id INTO platform FROM tenant WHERE is_platform;
    IF platform IS NULL THEN
        PERFORM ledger_refuse(
            'BW404', 'the platform''s own tenant does not exist; run: manage.py bootstrap'
        );
    END IF;
    RETURN platform;
END $$;
