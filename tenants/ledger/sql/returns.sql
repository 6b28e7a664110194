-- Money going back: a charge below zero follows the fundings back, the latest first.

-- Fundings of a wallet of which something has not gone back yet.
CREATE OR REPLACE FUNCTION charge_returnable(_wallet wallet, _only_postpaid boolean)
RETURNS TABLE (id bigint, grant_id text, net numeric, tax numeric, jurisdiction text)
LANGUAGE sql VOLATILE AS $$
    SELECT f.id, f.grant_id, f.net + coalesce(b.net, 0), f.tax + coalesce(b.tax, 0), f.jurisdiction
    FROM funding f
    LEFT JOIN LATERAL (
        SELECT sum(r.net) AS net, sum(r.tax) AS tax FROM funding r WHERE r.returns_id = f.id
    ) AS b ON true
    WHERE f.tenant_id = _wallet.tenant_id AND f.wallet_id = _wallet.id AND f.returns_id IS NULL
        AND f.net + coalesce(b.net, 0) > 0
        AND (f.grant_id IS NULL OR NOT _only_postpaid)
    ORDER BY f.id DESC
$$;

-- `_net` of a funding with the tax in proportion, no more than `_cap` in all. The last part of a
-- funding takes what is left of its tax.
CREATE OR REPLACE FUNCTION charge_return_part(
    _net numeric, _of_net numeric, _of_tax numeric, _cap numeric, OUT net numeric, OUT tax numeric
) LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    net := least(_net, _of_net);
    tax := CASE WHEN net = _of_net THEN _of_tax ELSE ledger_divide(_of_tax * net, _of_net) END;
    IF net + tax > _cap THEN
        net := least(net, ledger_divide(_cap * _of_net, _of_net + _of_tax));
        tax := _cap - net;
    END IF;
END $$;

-- The grant that money goes back to: the one it came from; for paid credit that has expired or was
-- withdrawn, or that was owed and has been paid since, a fresh one of the same tax treatment.
-- Null: a promotion or an allowance that is over lapses.
CREATE OR REPLACE FUNCTION charge_return_grant(_wallet wallet, _grant text, _amount numeric)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    origin credit_grant;
BEGIN
    SELECT * INTO origin FROM credit_grant WHERE id = _grant;
    IF origin.id IS NULL THEN
        RETURN charge_fresh_grant(_wallet, false, '', _amount, 0);
    ELSIF origin.closed_at IS NULL AND coalesce(origin.expires_at > clock_timestamp(), true) THEN
        RETURN origin.id;
    ELSIF origin.kind <> 'paid' THEN
        RETURN NULL;
    END IF;
    RETURN charge_fresh_grant(_wallet, origin.tax_included, origin.jurisdiction, _amount,
                              ledger_divide(origin.tax * _amount, origin.amount));
END $$;

-- One grant gathers all that comes back of one tax treatment, until it is used up by a withdrawal.
CREATE OR REPLACE FUNCTION charge_fresh_grant(
    _wallet wallet, _tax_included boolean, _jurisdiction text, _amount numeric, _tax numeric
) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    fresh text;
BEGIN
    UPDATE credit_grant SET amount = amount + _amount, tax = tax + _tax
    WHERE tenant_id = _wallet.tenant_id AND wallet_id = _wallet.id AND source = 'returned'
        AND kind = 'paid' AND closed_at IS NULL
        AND tax_included = _tax_included AND jurisdiction = _jurisdiction
    RETURNING id INTO fresh;
    RETURN coalesce(fresh, wallet_grant_insert(_wallet, 'paid', _amount, _tax, 0, NULL, _tax_included,
                                               _jurisdiction, 'returned'));
END $$;

CREATE OR REPLACE FUNCTION charge_return(_transaction text, _wallet wallet, _net numeric)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    rest numeric;
BEGIN
    rest := charge_return_owed(_transaction, _wallet, _net);
    rest := charge_return_funded(_transaction, _wallet, rest);
    IF rest > 0 THEN
        PERFORM ledger_refuse('BW422', format('%s more would go back than was ever charged',
                              trim_scale(rest)), '{"param": "lines"}');
    END IF;
END $$;

-- First, less is owed. Returns the rest of `_net`.
CREATE OR REPLACE FUNCTION charge_return_owed(_transaction text, _wallet wallet, _net numeric)
RETURNS numeric LANGUAGE plpgsql AS $$
DECLARE
    source record;
    part record;
    rest numeric := _net;
    owed numeric := _wallet.receivable;
BEGIN
    FOR source IN SELECT * FROM charge_returnable(_wallet, true) LOOP
        EXIT WHEN rest = 0 OR owed = 0;
        part := charge_return_part(rest, source.net, source.tax, owed);
        CONTINUE WHEN part.net = 0;
        PERFORM charge_return_write(_transaction, _wallet, source.id, NULL, part.net, part.tax);
        rest := rest - part.net;
        owed := owed - part.net - part.tax;
    END LOOP;
    RETURN rest;
END $$;

-- Then the latest fundings get back what they paid. Returns the rest of `_net`.
CREATE OR REPLACE FUNCTION charge_return_funded(_transaction text, _wallet wallet, _net numeric)
RETURNS numeric LANGUAGE plpgsql AS $$
DECLARE
    source record;
    part record;
    rest numeric := _net;
BEGIN
    FOR source IN SELECT * FROM charge_returnable(_wallet, false) LOOP
        EXIT WHEN rest = 0;
        part := charge_return_part(rest, source.net, source.tax, source.net + source.tax);
        PERFORM charge_return_write(
            _transaction, _wallet, source.id,
            charge_return_grant(_wallet, source.grant_id, part.net + part.tax), part.net, part.tax
        );
        rest := rest - part.net;
    END LOOP;
    RETURN rest;
END $$;

CREATE OR REPLACE FUNCTION charge_return_write(
    _transaction text, _wallet wallet, _funding bigint, _to text, _net numeric, _tax numeric
) RETURNS void LANGUAGE sql AS $$
    INSERT INTO funding (transaction_id, tenant_id, wallet_id, grant_id, net, tax, jurisdiction,
                         returns_id, returned_to_id)
    SELECT _transaction, _wallet.tenant_id, _wallet.id, f.grant_id, -_net, -_tax, f.jurisdiction,
           f.id, _to
    FROM funding f WHERE f.id = _funding
$$;
