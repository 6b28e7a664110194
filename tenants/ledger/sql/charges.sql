-- Charges: revenue on one side, and who pays for it on the other.

-- [{"revenue": "tokens", "net": "0.01"}] summed by revenue line.
CREATE OR REPLACE FUNCTION charge_lines(_lines jsonb) RETURNS ledger_line[] LANGUAGE plpgsql AS $$
DECLARE
    lines ledger_line[];
    line ledger_line;
BEGIN
    IF jsonb_typeof(_lines) IS DISTINCT FROM 'array' THEN
        PERFORM ledger_refuse('BW422', 'lines are an array', '{"param": "lines"}');
    END IF;
    FOR line IN SELECT l->>'revenue', (l->>'net')::numeric FROM jsonb_array_elements(_lines) AS l LOOP
        PERFORM ledger_require_exact(line.net, 'net');
        IF line.revenue IS NULL OR line.revenue <> ALL (ledger_revenue_lines()) THEN
            PERFORM ledger_refuse('BW422', format('there is no revenue line %s', line.revenue),
                                  '{"param": "revenue"}');
        END IF;
        lines := lines || line;
    END LOOP;
    SELECT array_agg(ROW(l.revenue, l.net)::ledger_line ORDER BY l.revenue) INTO lines
    FROM (SELECT revenue, trim_scale(sum(net)) AS net FROM unnest(lines) GROUP BY revenue) AS l
    WHERE l.net <> 0;
    RETURN coalesce(lines, '{}');
END $$;

-- What may pay for a charge, in order: the hold's parts, then free credit of kinds not spared.
CREATE OR REPLACE FUNCTION charge_sources(_wallet wallet, _hold hold, _spare text[])
RETURNS charge_source[]
LANGUAGE sql STABLE AS $$
    SELECT array_agg(ROW(s.grant_id, s.taxed, s.available, s.of_hold)::charge_source ORDER BY s.place)
    FROM (
        SELECT p.grant_id, coalesce(g.kind = 'paid' AND NOT g.tax_included, true) AS taxed,
            p.amount AS available, true AS of_hold,
            row_number() OVER (ORDER BY wallet_rank(g.kind), g.priority, g.expires_at, g.id) AS place
        FROM hold_part p LEFT JOIN credit_grant g ON g.id = p.grant_id
        WHERE p.tenant_id = _hold.tenant_id AND p.hold_id = _hold.id
        UNION ALL
        SELECT f.grant_id, f.kind = 'paid' AND NOT f.tax_included, f.free, false,
            1000000 + row_number() OVER ()
        FROM wallet_free_grants(_wallet.id) AS f WHERE f.kind <> ALL (_spare)
    ) AS s
$$;

-- How much of `_net` a source of `_available` (tax in it) pays for, and the tax on that. A source
-- that cannot pay for all gives all it has. Where a hold is cut into parts, rounding can leave the
-- last of them a few 10^-12 short: that much tax is forgone, so that what was held suffices.
CREATE OR REPLACE FUNCTION charge_part(
    _net numeric, _available numeric, _rate numeric, OUT net numeric, OUT tax numeric
) LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    needed numeric := _net + ledger_round(_net * _rate);
BEGIN
    IF _available >= _net AND needed <= _available + 0.00000000001 THEN
        net := _net;
        tax := least(needed, _available) - _net;
    ELSE
        net := ledger_divide(_available, 1 + _rate);
        tax := _available - net;
    END IF;
END $$;

-- Write down who pays for `_net`: the sources in turn, then nobody yet.
CREATE OR REPLACE FUNCTION charge_fund(
    _transaction text, _wallet wallet, _sources charge_source[], _net numeric
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    source charge_source;
    part record;
    rest numeric := _net;
BEGIN
    FOREACH source IN ARRAY coalesce(_sources, '{}') LOOP
        EXIT WHEN rest = 0;
        part := charge_part(rest, source.available,
                            CASE WHEN source.taxed THEN _wallet.tax_rate ELSE 0 END);
        CONTINUE WHEN part.net = 0;
        PERFORM charge_fund_part(_transaction, _wallet, source.grant_id, part.net, part.tax);
        rest := rest - part.net;
    END LOOP;
    IF rest > 0 THEN
        PERFORM charge_fund_part(_transaction, _wallet, NULL, rest,
                                 ledger_round(rest * _wallet.tax_rate));
    END IF;
END $$;

CREATE OR REPLACE FUNCTION charge_fund_part(
    _transaction text, _wallet wallet, _grant text, _net numeric, _tax numeric
) RETURNS void LANGUAGE sql AS $$
    INSERT INTO funding (transaction_id, tenant_id, wallet_id, grant_id, net, tax, jurisdiction)
    VALUES (_transaction, _wallet.tenant_id, _wallet.id, _grant, _net, _tax,
            CASE WHEN _tax = 0 THEN '' ELSE _wallet.tax_jurisdiction END)
$$;

-- The postings of a charge, above or below zero: it is owed, earned and taxed; then each funding
-- settles its part. What a promotion or an allowance pays is no revenue in the end.
CREATE OR REPLACE FUNCTION charge_entries(_transaction text, _currency text, _lines ledger_line[])
RETURNS ledger_entry[] LANGUAGE sql STABLE AS $$
    WITH paid AS (
        SELECT f.id, f.net + f.tax AS gross, f.tax, f.jurisdiction, g.kind,
            CASE WHEN f.returns_id IS NULL THEN f.grant_id ELSE f.returned_to_id END AS credit
        FROM funding f LEFT JOIN credit_grant g ON g.id = f.grant_id
        WHERE f.transaction_id = _transaction
    ), entry (place, kind, ref, amount) AS (
        SELECT 1, 'receivable', '', sum(gross) FROM paid
        UNION ALL SELECT 2, 'revenue', revenue, -net FROM unnest(_lines)
        UNION ALL SELECT 3, 'tax_payable', jurisdiction, -sum(tax) FROM paid GROUP BY jurisdiction
        UNION ALL SELECT 10 * id, 'grant', credit, gross FROM paid WHERE credit IS NOT NULL
        UNION ALL SELECT 10 * id + 1, 'receivable', '', -gross FROM paid
            WHERE credit IS NOT NULL OR kind IN ('promotion', 'allowance')
        UNION ALL SELECT 10 * id + 2, 'contra_revenue', kind, gross FROM paid
            WHERE kind IN ('promotion', 'allowance')
        UNION ALL SELECT 10 * id + 3, 'credit_offset', kind, -gross FROM paid
            WHERE kind IN ('promotion', 'allowance') AND credit IS NOT NULL
    )
    SELECT array_agg(ROW(NULL, kind, ref, _currency, amount)::ledger_entry ORDER BY place) FROM entry
$$;

-- What its maker is told, and told again for the same key.
CREATE OR REPLACE FUNCTION charge_answer(_transaction text, _currency text, _net numeric)
RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object(
        'currency', _currency, 'net', trim_scale(_net)::text,
        'tax', trim_scale(coalesce(sum(f.tax), 0))::text,
        'allowance', trim_scale(coalesce(sum(f.net + f.tax) FILTER (WHERE g.kind = 'allowance'), 0))::text,
        'promotion', trim_scale(coalesce(sum(f.net + f.tax) FILTER (WHERE g.kind = 'promotion'), 0))::text,
        'paid', trim_scale(coalesce(sum(f.net + f.tax) FILTER (WHERE g.kind = 'paid'), 0))::text,
        'postpaid', trim_scale(coalesce(sum(f.net + f.tax) FILTER (WHERE g.id IS NULL), 0))::text
    )
    FROM funding f LEFT JOIN credit_grant g ON g.id = f.grant_id WHERE f.transaction_id = _transaction
$$;

-- The hold that a charge names. Unknown, closed, or of another wallet, as after a contract went on in
-- another currency: the work was done, so it is charged without.
CREATE OR REPLACE FUNCTION charge_hold(_wallet wallet, _key text) RETURNS hold
LANGUAGE sql AS $$
    SELECT * FROM hold WHERE tenant_id = _wallet.tenant_id AND key = _key AND state = 'open'
        AND wallet_id = _wallet.id
$$;

-- What the charge left of the hold's parts is set aside again, or the hold is over.
CREATE OR REPLACE FUNCTION charge_keep_hold(
    _transaction text, _wallet wallet, _hold hold, _sources charge_source[]
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    part record;
BEGIN
    FOR part IN
        SELECT s.grant_id, s.available - least(s.available, greatest(f.drawn, 0)) AS amount
        FROM unnest(_sources) AS s LEFT JOIN (
            SELECT grant_id, sum(net + tax) AS drawn FROM funding
            WHERE transaction_id = _transaction GROUP BY grant_id
        ) AS f ON f.grant_id IS NOT DISTINCT FROM s.grant_id
        WHERE s.of_hold
    LOOP
        CONTINUE WHEN part.amount = 0;
        PERFORM budget_move(_hold.tenant_id, _wallet.currency, _hold.labels, _hold.period, 0,
                            part.amount);
        PERFORM hold_take_part(_wallet, _hold.id, part.grant_id, part.amount);
    END LOOP;
END $$;

CREATE OR REPLACE FUNCTION wallet_charge(
    _tenant text, _currency text, _key text, _occurred_at timestamptz, _lines jsonb,
    _hold_key text DEFAULT NULL, _labels jsonb DEFAULT '{}', _data jsonb DEFAULT '{}',
    _keep_hold boolean DEFAULT false, _spare text[] DEFAULT '{}', _shares jsonb DEFAULT '[]',
    OUT transaction_id text, OUT net numeric, OUT tax numeric, OUT allowance numeric,
    OUT promotion numeric, OUT paid numeric, OUT postpaid numeric
) LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    found wallet;
    known ledger_transaction;
    lines ledger_line[] := charge_lines(_lines);
    hash text := ledger_hash(jsonb_build_array('charge', _currency, to_jsonb(lines), _hold_key, _labels));
BEGIN
    PERFORM ledger_require_key(_key);
    found := wallet_lock(_tenant, _currency);
    known := ledger_known(_tenant, _key, hash);
    IF known.id IS NULL THEN
        known := charge_write(found, _key, hash, coalesce(_occurred_at, now()), lines,
                              charge_hold(found, _hold_key), coalesce(_labels, '{}'), _data,
                              _keep_hold, _spare, _shares);
    END IF;
    transaction_id := known.id;
    net := known.answer->>'net';
    tax := known.answer->>'tax';
    allowance := known.answer->>'allowance';
    promotion := known.answer->>'promotion';
    paid := known.answer->>'paid';
    postpaid := known.answer->>'postpaid';
END $$;

CREATE OR REPLACE FUNCTION charge_write(
    _wallet wallet, _key text, _hash text, _occurred_at timestamptz, _lines ledger_line[],
    _hold hold, _labels jsonb, _data jsonb, _keep_hold boolean, _spare text[],
    _shares jsonb
) RETURNS ledger_transaction LANGUAGE plpgsql AS $$
DECLARE
    made text := ledger_new_id('txn_');
    net numeric := (SELECT coalesce(sum(l.net), 0) FROM unnest(_lines) AS l);
    sources charge_source[] := charge_sources(_wallet, _hold, _spare);
    answer jsonb;
    written ledger_transaction;
BEGIN
    IF _hold.id IS NOT NULL THEN
        PERFORM hold_let_go(_hold, _wallet.currency);
    END IF;
    IF net > 0 THEN
        PERFORM charge_fund(made, _wallet, sources, net);
    ELSIF net < 0 THEN
        PERFORM charge_return(made, _wallet, -net);
    END IF;
    answer := charge_answer(made, _wallet.currency, net);
    PERFORM budget_move(
        _wallet.tenant_id, _wallet.currency, _labels, ledger_month(_occurred_at),
        (answer->>'net')::numeric + (answer->>'tax')::numeric, 0
    );
    PERFORM ledger_write(made, _key, _hash, 'charge', _wallet.tenant_id, _occurred_at,
                         charge_entries(made, _wallet.currency, _lines)
                         || charge_shares(made, _wallet, net, _occurred_at, _shares),
                         _data, _labels, answer);
    IF _hold.id IS NOT NULL THEN
        PERFORM charge_end_hold(made, _wallet, _hold, sources, _keep_hold);
    END IF;
    SELECT * INTO written FROM ledger_transaction WHERE id = made;
    RETURN written;
END $$;

CREATE OR REPLACE FUNCTION charge_end_hold(
    _transaction text, _wallet wallet, _hold hold, _sources charge_source[], _keep boolean
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF _keep THEN
        PERFORM charge_keep_hold(_transaction, _wallet, _hold, _sources);
    ELSE
        PERFORM hold_close(_hold);
    END IF;
    UPDATE hold SET drawn = amount - hold_left(_hold) WHERE id = _hold.id AND _keep;
END $$;
