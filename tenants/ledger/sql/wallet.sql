-- Wallets: the lock that makes everything about one wallet happen one after the other.

CREATE OR REPLACE FUNCTION wallet_require_currency(_currency text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF _currency IS NULL OR _currency !~ '^[A-Z]{3}$' THEN
        PERFORM ledger_refuse('BW422', format('a currency has three capital letters, not %s',
                              quote_nullable(_currency)), '{"param": "currency"}');
    END IF;
END $$;

-- The one lock. Whoever changes a wallet, its grants, holds or budgets holds it until the end of
-- the transaction. NO KEY: rows that refer to the wallet may still be written.
CREATE OR REPLACE FUNCTION wallet_locked(_tenant text, _currency text) RETURNS wallet
LANGUAGE sql AS $$
    SELECT * FROM wallet WHERE tenant_id = _tenant AND currency = _currency FOR NO KEY UPDATE
$$;

CREATE OR REPLACE FUNCTION wallet_lock(_tenant text, _currency text) RETURNS wallet
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    found wallet;
BEGIN
    PERFORM ledger_require_tenant(_tenant);
    PERFORM wallet_require_currency(_currency);
    found := wallet_locked(_tenant, _currency);
    IF found.id IS NULL THEN
        IF NOT EXISTS (SELECT FROM tenant WHERE id = _tenant) THEN
            PERFORM ledger_refuse('BW404', format('there is no tenant %s', _tenant));
        END IF;
        INSERT INTO wallet (tenant_id, currency) VALUES (_tenant, _currency) ON CONFLICT DO NOTHING;
        found := wallet_locked(_tenant, _currency);
    END IF;
    RETURN found;
END $$;

-- Null leaves a setting as it is.
CREATE OR REPLACE FUNCTION wallet_change(
    _tenant text, _currency text, _credit_limit numeric, _tax_rate numeric, _tax_jurisdiction text
) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    found wallet := wallet_lock(_tenant, _currency);
BEGIN
    IF _credit_limit IS NOT NULL THEN
        PERFORM ledger_require_exact(_credit_limit, 'credit_limit');
    END IF;
    IF _credit_limit < 0 OR _tax_rate NOT BETWEEN 0 AND 1 OR _tax_rate <> round(_tax_rate, 6) THEN
        PERFORM ledger_refuse('BW422', 'a credit limit is at least 0, a tax rate between 0 and 1');
    END IF;
    UPDATE wallet SET credit_limit = coalesce(_credit_limit, credit_limit),
        tax_rate = coalesce(_tax_rate, tax_rate),
        tax_jurisdiction = coalesce(_tax_jurisdiction, tax_jurisdiction)
    WHERE id = found.id;
END $$;

-- Grants that may be used now, in the order in which they are.
CREATE OR REPLACE FUNCTION wallet_free_grants(_wallet bigint)
RETURNS TABLE (grant_id text, kind text, tax_included boolean, free numeric)
LANGUAGE sql STABLE AS $$
    SELECT id, kind, tax_included, remaining - held FROM credit_grant
    WHERE wallet_id = _wallet AND open AND remaining > held AND closed_at IS NULL
        AND (expires_at IS NULL OR expires_at > clock_timestamp())
    ORDER BY wallet_rank(kind), priority, expires_at, id
$$;

-- What may still be owed beyond all grants.
CREATE OR REPLACE FUNCTION wallet_room(_wallet wallet) RETURNS numeric LANGUAGE sql IMMUTABLE AS $$
    SELECT greatest(0, _wallet.credit_limit - _wallet.receivable - _wallet.held_postpaid)
$$;

CREATE OR REPLACE FUNCTION wallet_available(_wallet wallet) RETURNS numeric LANGUAGE sql STABLE AS $$
    SELECT wallet_room(_wallet) + coalesce((SELECT sum(free) FROM wallet_free_grants(_wallet.id)), 0)
$$;

CREATE OR REPLACE FUNCTION wallet_refuse_credit(_needed numeric, _available numeric, _currency text)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM ledger_refuse('BW402', 'not enough credit', jsonb_build_object(
        'needed', trim_scale(_needed)::text, 'available', trim_scale(_available)::text,
        'currency', _currency
    ));
END $$;

-- For work whose cost comes later: refuses where there is nothing to pay it with.
CREATE OR REPLACE FUNCTION wallet_check(_tenant text, _currency text, _labels jsonb DEFAULT '{}')
RETURNS numeric LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    found wallet;
    available numeric;
BEGIN
    PERFORM ledger_require_tenant(_tenant);
    SELECT * INTO found FROM wallet WHERE tenant_id = _tenant AND currency = _currency;
    available := coalesce(wallet_available(found), 0);
    PERFORM budget_require_left(_tenant, _currency, _labels);
    IF available <= 0 THEN
        PERFORM wallet_refuse_credit(0, available, _currency);
    END IF;
    RETURN available;
END $$;
