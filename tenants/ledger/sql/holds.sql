-- Holds: credit set aside. No postings: nothing has been earned yet, so the books do not move.

-- Set aside from free credit in the order of use, and the rest from what may be owed.
CREATE OR REPLACE FUNCTION hold_take(_wallet wallet, _hold text, _amount numeric) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    source record;
    rest numeric := _amount;
    taken numeric;
BEGIN
    FOR source IN SELECT grant_id, free FROM wallet_free_grants(_wallet.id) LOOP
        EXIT WHEN rest = 0;
        taken := least(rest, source.free);
        PERFORM hold_take_part(_wallet, _hold, source.grant_id, taken);
        rest := rest - taken;
    END LOOP;
    IF rest > 0 THEN
        PERFORM hold_take_part(_wallet, _hold, NULL, rest);
    END IF;
END $$;

CREATE OR REPLACE FUNCTION hold_take_part(_wallet wallet, _hold text, _grant text, _amount numeric)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO hold_part (tenant_id, hold_id, grant_id, amount)
    VALUES (_wallet.tenant_id, _hold, _grant, _amount)
    ON CONFLICT (tenant_id, hold_id, grant_id) DO UPDATE SET amount = hold_part.amount + _amount;
    IF _grant IS NULL THEN
        UPDATE wallet SET held_postpaid = held_postpaid + _amount WHERE id = _wallet.id;
    ELSE
        UPDATE credit_grant SET held = held + _amount WHERE id = _grant;
    END IF;
END $$;

CREATE OR REPLACE FUNCTION hold_left(_hold hold) RETURNS numeric LANGUAGE sql STABLE AS $$
    SELECT coalesce(sum(amount), 0) FROM hold_part
    WHERE tenant_id = _hold.tenant_id AND hold_id = _hold.id
$$;

-- Everything that a hold still sets aside goes back to where it came from.
CREATE OR REPLACE FUNCTION hold_let_go(_hold hold, _currency text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM budget_move(_hold.tenant_id, _currency, _hold.labels, _hold.period, 0,
                        -hold_left(_hold));
    WITH freed AS (
        DELETE FROM hold_part WHERE tenant_id = _hold.tenant_id AND hold_id = _hold.id
        RETURNING grant_id, amount
    ), grants AS (
        UPDATE credit_grant SET held = held - freed.amount FROM freed WHERE id = freed.grant_id
    )
    UPDATE wallet SET held_postpaid = held_postpaid - freed.amount
    FROM freed WHERE freed.grant_id IS NULL AND wallet.id = _hold.wallet_id;
END $$;

CREATE OR REPLACE FUNCTION hold_close(_hold hold) RETURNS void LANGUAGE sql AS $$
    UPDATE hold SET state = 'closed', closed_at = now() WHERE id = _hold.id
$$;

-- A hold by its key, its wallet locked; a row of nulls where there is none.
CREATE OR REPLACE FUNCTION hold_row(_tenant text, _key text) RETURNS hold LANGUAGE plpgsql AS $$
DECLARE
    found hold;
BEGIN
    PERFORM ledger_require_tenant(_tenant);
    SELECT * INTO found FROM hold WHERE tenant_id = _tenant AND key = _key;
    IF found.id IS NOT NULL THEN
        PERFORM wallet_lock(_tenant, w.currency) FROM wallet w WHERE w.id = found.wallet_id;
        SELECT * INTO found FROM hold WHERE id = found.id;  -- again, as it stands under the lock
    END IF;
    RETURN found;
END $$;

-- Refuses what budgets or credit do not allow.
CREATE OR REPLACE FUNCTION hold_require(_wallet wallet, _labels jsonb, _amount numeric) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    available numeric := wallet_available(_wallet);
BEGIN
    PERFORM budget_require(_wallet.tenant_id, _wallet.currency, _labels, _amount);
    IF _amount > available THEN
        PERFORM wallet_refuse_credit(_amount, available, _wallet.currency);
    END IF;
END $$;

CREATE OR REPLACE FUNCTION wallet_hold(
    _tenant text, _currency text, _key text, _amount numeric,
    _labels jsonb DEFAULT '{}', _expires_at timestamptz DEFAULT NULL
) RETURNS text LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    found wallet;
    known hold;
    made text := ledger_new_id('hold_');
    month date := ledger_month(clock_timestamp());
    hash text := ledger_hash(jsonb_build_array(_currency, trim_scale(_amount), _labels));
BEGIN
    PERFORM ledger_require_key(_key);
    PERFORM ledger_require_positive(_amount, 'amount');
    found := wallet_lock(_tenant, _currency);
    SELECT * INTO known FROM hold WHERE tenant_id = _tenant AND key = _key;
    IF known.payload_hash <> hash THEN
        PERFORM ledger_refuse('BW409', format('the hold key %s was used for something else',
                              quote_literal(_key)), '{"param": "key"}');
    ELSIF known.id IS NOT NULL THEN
        RETURN known.id;
    END IF;
    PERFORM hold_require(found, _labels, _amount);
    PERFORM budget_move(_tenant, _currency, _labels, month, 0, _amount);
    INSERT INTO hold (id, tenant_id, wallet_id, key, payload_hash, amount, labels, period, expires_at)
    VALUES (made, _tenant, found.id, _key, hash, _amount, coalesce(_labels, '{}'), month, _expires_at);
    PERFORM hold_take(found, made, _amount);
    RETURN made;
END $$;

-- More for work that will cost more. Adds each time it is called. Returns all that was asked for.
CREATE OR REPLACE FUNCTION wallet_extend(
    _tenant text, _key text, _extra numeric, _expires_at timestamptz DEFAULT NULL
) RETURNS numeric LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    held hold;
    found wallet;
BEGIN
    PERFORM ledger_require_positive(_extra, 'extra');
    held := hold_row(_tenant, _key);
    IF held.id IS NULL THEN
        PERFORM ledger_refuse('BW404', format('there is no hold %s', quote_literal(_key)));
    ELSIF held.state <> 'open' THEN
        PERFORM ledger_refuse('BW409', format('the hold %s is closed', quote_literal(_key)),
                              '{"code": "hold_closed"}');
    END IF;
    SELECT * INTO found FROM wallet WHERE id = held.wallet_id;
    held := hold_renew(held, found.currency);
    PERFORM hold_require(found, held.labels, _extra);
    PERFORM budget_move(_tenant, found.currency, held.labels, held.period, 0, _extra);
    PERFORM hold_take(found, held.id, _extra);
    UPDATE hold SET amount = amount + _extra, expires_at = coalesce(_expires_at, expires_at)
    WHERE id = held.id RETURNING * INTO held;
    RETURN held.amount;
END $$;

-- A hold that lives on into another month counts in that one's budgets: its charges will.
CREATE OR REPLACE FUNCTION hold_renew(_hold hold, _currency text) RETURNS hold LANGUAGE plpgsql AS $$
DECLARE
    month date := ledger_month(clock_timestamp());
    renewed hold := _hold;
BEGIN
    IF month <> _hold.period THEN
        PERFORM budget_move(_hold.tenant_id, _currency, _hold.labels, _hold.period, 0,
                            -hold_left(_hold));
        PERFORM budget_move(_hold.tenant_id, _currency, _hold.labels, month, 0, hold_left(_hold));
        UPDATE hold SET period = month WHERE id = _hold.id RETURNING * INTO renewed;
    END IF;
    RETURN renewed;
END $$;

-- Letting go of what is unknown or closed changes nothing. Returns whether anything did.
CREATE OR REPLACE FUNCTION wallet_release(
    _tenant text, _key text, _only_expired boolean DEFAULT false
) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    held hold := hold_row(_tenant, _key);
BEGIN
    IF held.id IS NULL OR held.state <> 'open' THEN
        RETURN false;
    ELSIF _only_expired AND coalesce(held.expires_at > clock_timestamp(), true) THEN
        RETURN false;  -- extended meanwhile
    END IF;
    PERFORM hold_let_go(held, (SELECT currency FROM wallet WHERE id = held.wallet_id));
    PERFORM hold_close(held);
    RETURN true;
END $$;
