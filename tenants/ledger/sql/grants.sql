-- Credit in, credit out: grants, payments, withdrawals, expiry.

-- A grant of this tenant and currency. Raises BW404.
CREATE OR REPLACE FUNCTION wallet_grant_row(_tenant text, _currency text, _grant text)
RETURNS credit_grant LANGUAGE plpgsql AS $$
DECLARE
    found credit_grant;
BEGIN
    SELECT g.* INTO found FROM credit_grant g JOIN wallet w ON w.id = g.wallet_id
    WHERE g.tenant_id = _tenant AND g.id = _grant AND w.currency = coalesce(_currency, w.currency);
    IF found.id IS NULL THEN
        PERFORM ledger_refuse('BW404', format('there is no grant %s', _grant), '{"param": "grant"}');
    END IF;
    RETURN found;
END $$;

-- "stripe:pi_123" came through stripe: what a cash account is named by.
CREATE OR REPLACE FUNCTION ledger_provider(_source text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$ SELECT split_part(_source, ':', 1) $$;

CREATE OR REPLACE FUNCTION wallet_require_source(_source text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF _source IS NULL OR length(_source) NOT BETWEEN 1 AND 80 THEN
        PERFORM ledger_refuse('BW422', 'a source has 1 to 80 characters', '{"param": "source"}');
    END IF;
END $$;

CREATE OR REPLACE FUNCTION wallet_require_grant(
    _kind text, _amount numeric, _tax numeric, _expires_at timestamptz, _tax_included boolean
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM ledger_require_positive(_amount, 'amount');
    PERFORM ledger_require_exact(_tax, 'tax');
    IF wallet_rank(_kind) IS NULL THEN
        PERFORM ledger_refuse('BW422', format('a grant is an allowance, a promotion or paid, not %s',
                              _kind), '{"param": "kind"}');
    ELSIF _tax < 0 OR _tax > 0 AND NOT (_kind = 'paid' AND _tax_included) THEN
        PERFORM ledger_refuse('BW422', 'tax is taken with a paid grant that includes it only',
                              '{"param": "tax"}');
    ELSIF _tax_included AND _kind <> 'paid' THEN
        PERFORM ledger_refuse('BW422', 'only paid credit can be taxed at top-up',
                              '{"param": "tax_included"}');
    ELSIF _expires_at <= clock_timestamp() THEN
        PERFORM ledger_refuse('BW422', 'a grant expires in the future', '{"param": "expires_at"}');
    END IF;
END $$;

-- The row alone, with nothing on it yet: its posting fills it.
CREATE OR REPLACE FUNCTION wallet_grant_insert(
    _wallet wallet, _kind text, _amount numeric, _tax numeric, _priority int,
    _expires_at timestamptz, _tax_included boolean, _jurisdiction text, _source text
) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    grant_id text := ledger_new_id('grant_');
BEGIN
    INSERT INTO credit_grant (id, tenant_id, wallet_id, kind, priority, amount, tax, tax_included,
                              jurisdiction, source, expires_at)
    VALUES (grant_id, _wallet.tenant_id, _wallet.id, _kind, _priority, _amount, _tax, _tax_included,
            _jurisdiction, _source, _expires_at);
    RETURN grant_id;
END $$;

-- Where the credit comes from: cash for paid credit, nothing but a promise for the others.
CREATE OR REPLACE FUNCTION wallet_grant_entries(
    _grant credit_grant, _currency text
) RETURNS ledger_entry[] LANGUAGE sql AS $$
    SELECT CASE WHEN _grant.kind = 'paid' THEN ARRAY[
        (NULL, 'cash', ledger_provider(_grant.source), _currency, _grant.amount + _grant.tax),
        (NULL, 'grant', _grant.id, _currency, -_grant.amount),
        (NULL, 'tax_payable', _grant.jurisdiction, _currency, -_grant.tax)
    ]::ledger_entry[] ELSE ARRAY[
        (NULL, 'credit_offset', _grant.kind, _currency, _grant.amount),
        (NULL, 'grant', _grant.id, _currency, -_grant.amount)
    ]::ledger_entry[] END
$$;

CREATE OR REPLACE FUNCTION wallet_grant(
    _tenant text, _currency text, _key text, _kind text, _amount numeric, _tax numeric,
    _priority int, _expires_at timestamptz, _tax_included boolean, _source text,
    _data jsonb DEFAULT '{}'
) RETURNS text LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    found wallet;
    known ledger_transaction;
    made text;
    hash text := ledger_hash(jsonb_build_array('grant', _currency, _kind, trim_scale(_amount),
        trim_scale(_tax), _priority, _tax_included, _source));
BEGIN
    PERFORM ledger_require_key(_key);
    PERFORM wallet_require_source(_source);
    found := wallet_lock(_tenant, _currency);
    known := ledger_known(_tenant, _key, hash);
    IF known.id IS NOT NULL THEN
        RETURN known.answer->>'grant';
    END IF;
    PERFORM wallet_require_grant(_kind, _amount, _tax, _expires_at, _tax_included);
    made := wallet_grant_insert(found, _kind, _amount, _tax, _priority, _expires_at, _tax_included,
                                CASE WHEN _tax > 0 THEN found.tax_jurisdiction ELSE '' END, _source);
    PERFORM ledger_write(ledger_new_id('txn_'), _key, hash, 'grant', _tenant, now(),
        wallet_grant_entries(g, _currency), _data, _answer => jsonb_build_object('grant', made))
    FROM credit_grant g WHERE g.id = made;
    RETURN made;
END $$;

-- Money for what is owed; what is paid beyond it becomes credit, taxed when it is used.
CREATE OR REPLACE FUNCTION wallet_pay(
    _tenant text, _currency text, _key text, _amount numeric, _source text, _data jsonb DEFAULT '{}'
) RETURNS text LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    found wallet;
    known ledger_transaction;
    settled numeric;
    made text;
    hash text := ledger_hash(jsonb_build_array('payment', _currency, trim_scale(_amount), _source));
BEGIN
    PERFORM ledger_require_key(_key);
    PERFORM wallet_require_source(_source);
    PERFORM ledger_require_positive(_amount, 'amount');
    found := wallet_lock(_tenant, _currency);
    known := ledger_known(_tenant, _key, hash);
    IF known.id IS NOT NULL THEN
        RETURN known.id;
    END IF;
    settled := least(_amount, found.receivable);
    IF _amount > settled THEN
        made := wallet_grant_insert(found, 'paid', _amount - settled, 0, 0, NULL, false, '', _source);
    END IF;
    RETURN ledger_write(ledger_new_id('txn_'), _key, hash, 'payment', _tenant, now(), ARRAY[
        (NULL, 'cash', ledger_provider(_source), _currency, _amount),
        (NULL, 'receivable', '', _currency, -settled),
        (NULL, 'grant', made, _currency, settled - _amount)
    ]::ledger_entry[], _data, _answer => jsonb_build_object('grant', made));
END $$;

-- The tax that was taken at top-up for the next `_amount` to leave. Parts add up to the whole.
CREATE OR REPLACE FUNCTION wallet_tax_within(_grant credit_grant, _amount numeric) RETURNS numeric
LANGUAGE sql IMMUTABLE AS $$
    SELECT ledger_divide(_grant.tax * (_grant.withdrawn + _amount), _grant.amount)
         - ledger_divide(_grant.tax * _grant.withdrawn, _grant.amount)
$$;

-- Unused paid credit goes back to its payer, with the tax that was taken on it.
CREATE OR REPLACE FUNCTION wallet_withdraw(
    _tenant text, _key text, _grant text, _amount numeric, _source text, _data jsonb DEFAULT '{}'
) RETURNS text LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    origin credit_grant;
    currency text;
    tax numeric;
    known ledger_transaction;
    hash text := ledger_hash(jsonb_build_array('withdrawal', _grant, trim_scale(_amount), _source));
BEGIN
    PERFORM ledger_require_tenant(_tenant);
    PERFORM ledger_require_key(_key);
    PERFORM wallet_require_source(_source);
    PERFORM ledger_require_positive(_amount, 'amount');
    origin := wallet_grant_row(_tenant, NULL, _grant);
    currency := (SELECT w.currency FROM wallet w WHERE w.id = origin.wallet_id);
    PERFORM wallet_lock(_tenant, currency);
    known := ledger_known(_tenant, _key, hash);
    IF known.id IS NOT NULL THEN
        RETURN known.id;
    END IF;
    origin := wallet_grant_row(_tenant, NULL, _grant);  -- again, as it stands under the lock
    IF origin.kind <> 'paid' THEN
        PERFORM ledger_refuse('BW422', format('a grant of kind %s is never cash', origin.kind));
    ELSIF _amount > origin.remaining - origin.held THEN
        PERFORM wallet_refuse_credit(_amount, origin.remaining - origin.held, currency);
    END IF;
    tax := wallet_tax_within(origin, _amount);
    PERFORM ledger_write(ledger_new_id('txn_'), _key, hash, 'withdrawal', _tenant, now(), ARRAY[
        (NULL, 'grant', _grant, currency, _amount),
        (NULL, 'tax_payable', origin.jurisdiction, currency, tax),
        (NULL, 'cash', ledger_provider(_source), currency, -_amount - tax)
    ]::ledger_entry[], _data);
    UPDATE credit_grant SET withdrawn = withdrawn + _amount,
        closed_at = CASE WHEN remaining = 0 THEN now() END
    WHERE id = _grant;
    RETURN (ledger_known(_tenant, _key, hash)).id;
END $$;

-- What is left of an expired grant lapses; paid credit that was given an end becomes revenue.
-- Waits while part of it is held. Returns whether it is over now.
CREATE OR REPLACE FUNCTION wallet_expire(_tenant text, _grant text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    origin credit_grant;
    currency text;
BEGIN
    PERFORM ledger_require_tenant(_tenant);
    origin := wallet_grant_row(_tenant, NULL, _grant);
    currency := (SELECT w.currency FROM wallet w WHERE w.id = origin.wallet_id);
    PERFORM wallet_lock(_tenant, currency);
    origin := wallet_grant_row(_tenant, NULL, _grant);
    IF origin.closed_at IS NOT NULL OR origin.expires_at IS NULL
        OR origin.expires_at > clock_timestamp() OR origin.held > 0
    THEN
        RETURN false;
    END IF;
    IF origin.remaining > 0 THEN
        PERFORM ledger_write(ledger_new_id('txn_'), 'expire:' || _grant,
            ledger_hash(to_jsonb(_grant)), 'expiry', _tenant, origin.expires_at, ARRAY[
                (NULL, 'grant', _grant, currency, origin.remaining),
                CASE WHEN origin.kind = 'paid'
                    THEN (NULL, 'revenue', 'breakage', currency, -origin.remaining)::ledger_entry
                    ELSE (NULL, 'credit_offset', origin.kind, currency, -origin.remaining)::ledger_entry
                END
            ]::ledger_entry[], '{}');
    END IF;
    UPDATE credit_grant SET closed_at = now() WHERE id = _grant;
    RETURN true;
END $$;
