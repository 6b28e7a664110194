-- Partners' shares: posted in the charge's own transaction, and taken back with what goes back.
--
-- A share is a cost of the platform (`partner_share`) that is owed to the partner (`partner_pending`,
-- within its hold period). What each sale came to is a row of the table partner_share.
-- Bodies are plpgsql throughout: tables of the partners' app are there when they run, not before.

-- The parts of a charge that promotions, and that money paid, net of tax.
CREATE OR REPLACE FUNCTION share_paid(
    _transaction text, OUT promotion numeric, OUT money numeric
) LANGUAGE plpgsql STABLE AS $$
BEGIN
    SELECT coalesce(sum(f.net) FILTER (WHERE g.kind = 'promotion'), 0),
        coalesce(sum(f.net) FILTER (WHERE g.id IS NULL OR g.kind = 'paid'), 0)
    INTO promotion, money
    FROM funding f LEFT JOIN credit_grant g ON g.id = f.grant_id
    WHERE f.transaction_id = _transaction;
END $$;

-- Write down the shares of a charge of `_net`: as tenants/partners/sharing.py `settled` says.
CREATE OR REPLACE FUNCTION share_sell(
    _transaction text, _customer text, _currency text, _net numeric, _at timestamptz, _shares jsonb
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    paid record := share_paid(_transaction);
    sale jsonb;
    part numeric;
BEGIN
    FOR sale IN SELECT s FROM jsonb_array_elements(_shares) AS s WHERE s ? 'partner' LOOP
        part := (sale->>'amount')::numeric - CASE WHEN _net > 0 THEN ledger_divide(
            (sale->>'on_promotion')::numeric * paid.promotion
            + (sale->>'on_money')::numeric * paid.money, _net) ELSE 0 END;
        PERFORM ledger_require_exact(part, 'share');
        IF (sale->>'amount')::numeric NOT BETWEEN 0 AND (sale->>'net')::numeric THEN
            PERFORM ledger_refuse('BW422', 'a share is at most what was sold', '{"param": "share"}');
        END IF;
        INSERT INTO partner_share (transaction_id, cause, customer_id, partner_id, agreement_id,
            seller, revenue, subject, period, currency, net, amount, cost, available_at)
        VALUES (_transaction, 'sale', _customer, sale->>'partner', sale->>'agreement',
            sale->>'seller', sale->>'revenue', coalesce(sale->>'subject', ''), ledger_month(_at),
            _currency, (sale->>'net')::numeric, part, (sale->>'cost')::numeric,
            _at + make_interval(days => (sale->>'hold_days')::int));
    END LOOP;
END $$;

-- Take back the shares of what was sold to a customer, the latest first: of one subject, or of one
-- seller in one month; of `net`, or of all of it. A part of a sale takes its part of share and cost.
CREATE OR REPLACE FUNCTION share_return(
    _transaction text, _customer text, _currency text, _wish jsonb
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    rest numeric := (_wish->>'net')::numeric;
    sale record;
    taken numeric;
    share numeric;
    cost numeric;
BEGIN
    FOR sale IN
        SELECT s.id, s.partner_id, s.agreement_id, s.seller, s.revenue, s.subject, s.period,
            s.available_at, s.net + coalesce(b.net, 0) AS net,
            s.amount + coalesce(b.amount, 0) AS amount, s.cost + coalesce(b.cost, 0) AS cost
        FROM partner_share s LEFT JOIN LATERAL (
            SELECT sum(r.net) AS net, sum(r.amount) AS amount, sum(r.cost) AS cost
            FROM partner_share r WHERE r.returns_id = s.id
        ) AS b ON true
        WHERE s.customer_id = _customer AND s.currency = _currency AND s.returns_id IS NULL
            AND s.seller = coalesce(_wish->>'seller', s.seller)
            AND s.revenue = coalesce(_wish->>'revenue', s.revenue)
            AND s.subject = coalesce(_wish->>'subject', s.subject)
            AND s.period = coalesce((_wish->>'period')::date, s.period)
            AND s.transaction_id = coalesce(_wish->>'transaction', s.transaction_id)
            AND s.net + coalesce(b.net, 0) > 0
        ORDER BY s.id DESC
    LOOP
        taken := least(coalesce(rest, sale.net), sale.net);
        EXIT WHEN taken <= 0;
        share := CASE WHEN taken = sale.net THEN sale.amount
                      ELSE ledger_divide(sale.amount * taken, sale.net) END;
        cost := CASE WHEN taken = sale.net THEN sale.cost
                     ELSE ledger_divide(sale.cost * taken, sale.net) END;
        INSERT INTO partner_share (transaction_id, cause, customer_id, partner_id, agreement_id,
            seller, revenue, subject, period, currency, net, amount, cost, returns_id, available_at)
        VALUES (_transaction, coalesce(_wish->>'cause', 'return'), _customer, sale.partner_id,
            sale.agreement_id, sale.seller, sale.revenue, sale.subject, sale.period, _currency,
            -taken, -share, -cost, sale.id, sale.available_at);
        rest := rest - taken;
    END LOOP;
END $$;

-- What an earlier transaction took back is the partners' again: a dispute was won.
CREATE OR REPLACE FUNCTION share_renew(_transaction text, _of text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO partner_share (transaction_id, cause, customer_id, partner_id, agreement_id,
        seller, revenue, subject, period, currency, net, amount, cost, returns_id, available_at)
    SELECT _transaction, 'dispute_won', customer_id, partner_id, agreement_id, seller, revenue,
        subject, period, currency, -net, -amount, -cost, returns_id, available_at
    FROM partner_share WHERE transaction_id = _of AND returns_id IS NOT NULL ORDER BY id;
END $$;

-- What a partner is owed on one of its accounts, above zero.
CREATE OR REPLACE FUNCTION share_owed(_partner text, _kind text, _currency text) RETURNS numeric
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN coalesce((
        SELECT -sum(p.amount) FROM ledger_posting p JOIN ledger_account a ON a.id = p.account_id
        WHERE p.tenant_id = _partner AND a.tenant_id = _partner AND a.kind = _kind
            AND a.currency = _currency
    ), 0);
END $$;

-- One at a time moves what a partner may be paid. 1006 is AdvisoryLock.PARTNER.
CREATE OR REPLACE FUNCTION share_lock(_partner text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(1006, hashtext(_partner));
END $$;

-- The partner's side of `_amount`: earned, it is pending; taken back, it leaves pending, then
-- available, then the partner owes it.
CREATE OR REPLACE FUNCTION share_sides(_partner text, _currency text, _amount numeric)
RETURNS ledger_entry[] LANGUAGE plpgsql AS $$
DECLARE
    back numeric := -_amount;
    pending numeric;
    available numeric;
BEGIN
    IF _amount >= 0 THEN
        RETURN ARRAY[(_partner, 'partner_pending', '', _currency, -_amount)]::ledger_entry[];
    END IF;
    PERFORM share_lock(_partner);
    pending := least(back, greatest(share_owed(_partner, 'partner_pending', _currency), 0));
    available := least(back - pending,
                       greatest(share_owed(_partner, 'partner_available', _currency), 0));
    RETURN ARRAY[
        (_partner, 'partner_pending', '', _currency, pending),
        (_partner, 'partner_available', '', _currency, available),
        (_partner, 'partner_receivable', '', _currency, back - pending - available)
    ]::ledger_entry[];
END $$;

-- The postings of all that a transaction wrote in partner_share; in order of partners, as locks are.
CREATE OR REPLACE FUNCTION share_entries(_transaction text) RETURNS ledger_entry[]
LANGUAGE plpgsql AS $$
DECLARE
    entries ledger_entry[] := '{}';
    part record;
BEGIN
    FOR part IN
        SELECT partner_id, currency, sum(amount) AS amount, sum(cost) AS cost FROM partner_share
        WHERE transaction_id = _transaction GROUP BY 1, 2 ORDER BY 1, 2
    LOOP
        entries := entries || ARRAY[
            (NULL, 'partner_share', 'revenue', part.currency, part.amount),
            (NULL, 'partner_share', 'cost', part.currency, -part.cost)
        ]::ledger_entry[] || share_sides(part.partner_id, part.currency, part.amount - part.cost);
    END LOOP;
    RETURN entries;
END $$;

-- The shares of a charge, as its entries: what was sold, and what goes back with it.
CREATE OR REPLACE FUNCTION charge_shares(
    _transaction text, _wallet wallet, _net numeric, _at timestamptz, _shares jsonb
) RETURNS ledger_entry[] LANGUAGE plpgsql AS $$
DECLARE
    wish jsonb;
BEGIN
    IF coalesce(jsonb_array_length(_shares), 0) = 0 THEN
        RETURN '{}';
    END IF;
    PERFORM share_sell(_transaction, _wallet.tenant_id, _wallet.currency, _net, _at, _shares);
    FOR wish IN SELECT s FROM jsonb_array_elements(_shares) AS s WHERE NOT s ? 'partner' LOOP
        PERFORM share_return(_transaction, _wallet.tenant_id, _wallet.currency, wish);
    END LOOP;
    RETURN share_entries(_transaction);
END $$;

-- Shares taken back, or given again, beside a charge: with a credit note, a dispute, its end.
-- `_renews`: the key of the transaction whose shares come again. Null where there were none.
CREATE OR REPLACE FUNCTION ledger_share(
    _key text, _customer text, _currency text, _wishes jsonb, _renews text DEFAULT NULL,
    _data jsonb DEFAULT '{}'
) RETURNS text LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    made text := ledger_new_id('txn_');
    hash text := ledger_hash(jsonb_build_array('share', _currency, _wishes, _renews));
    known ledger_transaction;
    wish jsonb;
    entries ledger_entry[];
BEGIN
    PERFORM ledger_require_tenant(_customer);
    PERFORM ledger_require_key(_key);
    PERFORM wallet_lock(_customer, _currency);
    known := ledger_known(_customer, _key, hash);
    IF known.id IS NOT NULL THEN
        RETURN known.id;
    END IF;
    FOR wish IN SELECT w FROM jsonb_array_elements(_wishes) AS w LOOP
        PERFORM share_return(made, _customer, _currency, wish);
    END LOOP;
    IF _renews IS NOT NULL THEN
        PERFORM share_renew(made, t.id) FROM ledger_transaction t
        WHERE t.tenant_id = _customer AND t.key = _renews;
    END IF;
    entries := share_entries(made);
    IF entries = '{}' THEN
        RETURN NULL;
    END IF;
    RETURN ledger_write(made, _key, hash, 'partner_share', _customer, now(), entries, _data);
END $$;

-- What is past its hold period becomes available, less what the partner owes. Returns how much moved.
-- What is still held back is what was sold and has not come of age.
CREATE OR REPLACE FUNCTION ledger_share_release(_key text, _partner text, _currency text)
RETURNS numeric LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    due numeric;
    owed numeric;
    hash text := ledger_hash(jsonb_build_array('release', _currency));
BEGIN
    PERFORM ledger_require_tenant(_partner);
    PERFORM ledger_require_key(_key);
    PERFORM share_lock(_partner);
    IF (ledger_known(_partner, _key, hash)).id IS NOT NULL THEN
        RETURN 0;
    END IF;
    due := share_owed(_partner, 'partner_pending', _currency) - coalesce((
        SELECT sum(amount - cost) FROM partner_share
        WHERE partner_id = _partner AND currency = _currency AND available_at > now()
    ), 0);
    IF due <= 0 THEN
        RETURN 0;
    END IF;
    owed := least(due, greatest(-share_owed(_partner, 'partner_receivable', _currency), 0));
    PERFORM ledger_write(ledger_new_id('txn_'), _key, hash, 'partner_release', _partner, now(), ARRAY[
        (_partner, 'partner_pending', '', _currency, due),
        (_partner, 'partner_receivable', '', _currency, -owed),
        (_partner, 'partner_available', '', _currency, owed - due)
    ]::ledger_entry[], '{}');
    RETURN due;
END $$;

CREATE OR REPLACE FUNCTION ledger_share_lock(_partner text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM ledger_require_tenant(_partner);
    PERFORM share_lock(_partner);
END $$;
