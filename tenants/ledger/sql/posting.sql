-- The only writer of the books, and the database's own check that they balance.

-- Deferred: it looks when the transaction commits, whoever wrote the posting, and sees all of them
-- (a deferred trigger runs as the session's role, which may be under row-level security).
CREATE OR REPLACE FUNCTION ledger_check_balance() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    off record;
BEGIN
    SELECT currency, sum(amount) AS amount INTO off FROM ledger_posting
    WHERE transaction_id = NEW.transaction_id GROUP BY currency HAVING sum(amount) <> 0 LIMIT 1;
    IF FOUND THEN
        PERFORM ledger_refuse('BW422', format(
            'transaction %s does not balance: %s %s too much',
            NEW.transaction_id, off.amount, off.currency
        ));
    END IF;
    RETURN NULL;
END $$;

-- What came under a key before, or a row of nulls. Raises BW409 where it was something else.
CREATE OR REPLACE FUNCTION ledger_known(_tenant text, _key text, _hash text)
RETURNS ledger_transaction LANGUAGE plpgsql AS $$
DECLARE
    known ledger_transaction;
BEGIN
    SELECT * INTO known FROM ledger_transaction WHERE tenant_id = _tenant AND key = _key;
    IF known.payload_hash <> _hash THEN
        PERFORM ledger_refuse(
            'BW409', format('the ledger key %s was used for something else', quote_literal(_key)),
            '{"param": "key"}'
        );
    END IF;
    RETURN known;
END $$;

-- Entries with their accounts' owners; those of nothing left out.
CREATE OR REPLACE FUNCTION ledger_owned(_entries ledger_entry[], _customer text)
RETURNS TABLE (place bigint, owner text, kind text, ref text, currency text, amount numeric)
LANGUAGE sql STABLE AS $$
    SELECT e.place,
        CASE chart.owner WHEN 'customer' THEN _customer WHEN 'partner' THEN e.tenant
                         ELSE ledger_platform() END,
        e.kind, coalesce(e.ref, ''), e.currency, e.amount
    FROM unnest(_entries) WITH ORDINALITY AS e(tenant, kind, ref, currency, amount, place)
    JOIN ledger_chart() AS chart ON chart.kind = e.kind
    WHERE e.amount <> 0
$$;

-- Accounts are made on first use. In order, so that two writers never wait for each other.
CREATE OR REPLACE FUNCTION ledger_open_accounts(_entries ledger_entry[], _customer text)
RETURNS void LANGUAGE sql AS $$
    INSERT INTO ledger_account (tenant_id, kind, ref, currency)
    SELECT DISTINCT e.owner, e.kind, e.ref, e.currency FROM ledger_owned(_entries, _customer) AS e
    WHERE NOT EXISTS (
        SELECT FROM ledger_account a WHERE a.tenant_id = e.owner AND a.kind = e.kind
            AND a.ref = e.ref AND a.currency = e.currency
    )
    ORDER BY 1, 2, 3, 4 ON CONFLICT DO NOTHING
$$;

-- Wallets and grants follow the postings, here and nowhere else.
CREATE OR REPLACE FUNCTION ledger_project(_entries ledger_entry[], _customer text)
RETURNS void LANGUAGE sql AS $$
    UPDATE wallet SET receivable = receivable + moved.amount
    FROM (
        SELECT currency, sum(amount) AS amount FROM unnest(_entries)
        WHERE kind = 'receivable' GROUP BY currency
    ) AS moved
    WHERE tenant_id = _customer AND wallet.currency = moved.currency AND moved.amount <> 0;

    UPDATE credit_grant SET remaining = remaining - moved.amount
    FROM (
        SELECT ref, sum(amount) AS amount FROM unnest(_entries) WHERE kind = 'grant' GROUP BY ref
    ) AS moved
    WHERE tenant_id = _customer AND id = moved.ref AND moved.amount <> 0;
$$;

CREATE OR REPLACE FUNCTION ledger_write(
    _id text, _key text, _hash text, _kind text, _tenant text, _occurred_at timestamptz,
    _entries ledger_entry[], _data jsonb,
    _labels jsonb DEFAULT '{}', _answer jsonb DEFAULT '{}', _reverses text DEFAULT NULL
) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO ledger_transaction
        (id, tenant_id, key, payload_hash, kind, occurred_at, labels, data, answer, reverses_id)
    VALUES (_id, _tenant, _key, _hash, _kind, coalesce(_occurred_at, now()),
            coalesce(_labels, '{}'), coalesce(_data, '{}'), _answer, _reverses);
    PERFORM ledger_open_accounts(_entries, _tenant);
    INSERT INTO ledger_posting (transaction_id, account_id, tenant_id, amount, currency)
    SELECT _id, a.id, a.tenant_id, e.amount, e.currency
    FROM ledger_owned(_entries, _tenant) AS e
    JOIN ledger_account a ON a.tenant_id = e.owner AND a.kind = e.kind
        AND a.ref = e.ref AND a.currency = e.currency
    ORDER BY e.place;
    PERFORM ledger_project(_entries, _tenant);
    RETURN _id;
END $$;

-- Postings as JSON, [{"kind", "ref", "currency", "amount", "tenant"}], checked against the chart.
CREATE OR REPLACE FUNCTION ledger_parse(_postings jsonb) RETURNS ledger_entry[]
LANGUAGE plpgsql AS $$
DECLARE
    entries ledger_entry[];
    entry ledger_entry;
BEGIN
    SELECT array_agg(ROW(p->>'tenant', p->>'kind', coalesce(p->>'ref', ''), p->>'currency',
                         (p->>'amount')::numeric)::ledger_entry)
    INTO entries FROM jsonb_array_elements(_postings) AS p;
    FOREACH entry IN ARRAY coalesce(entries, '{}') LOOP
        PERFORM ledger_require_exact(entry.amount, 'amount');
        PERFORM wallet_require_currency(entry.currency);
        PERFORM ledger_require_account(entry);
    END LOOP;
    PERFORM ledger_require_balance(entries);
    RETURN coalesce(entries, '{}');
END $$;

-- Before anything is written; the trigger looks again at the end.
CREATE OR REPLACE FUNCTION ledger_require_balance(_entries ledger_entry[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    off record;
BEGIN
    SELECT currency, sum(amount) AS amount INTO off FROM unnest(_entries)
    GROUP BY currency HAVING sum(amount) <> 0 LIMIT 1;
    IF FOUND THEN
        PERFORM ledger_refuse('BW422', format('the postings do not balance: %s %s too much',
                              trim_scale(off.amount), off.currency), '{"param": "postings"}');
    END IF;
END $$;

CREATE OR REPLACE FUNCTION ledger_require_account(_entry ledger_entry) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    owner text := (SELECT c.owner FROM ledger_chart() c WHERE c.kind = _entry.kind);
BEGIN
    IF owner IS NULL THEN
        PERFORM ledger_refuse('BW422', format('there is no account %s', _entry.kind),
                              '{"param": "kind"}');
    ELSIF owner = 'partner' AND NOT EXISTS (SELECT FROM tenant WHERE id = _entry.tenant) THEN
        PERFORM ledger_refuse('BW422', format('whose is the account %s?', _entry.kind),
                              '{"param": "tenant"}');
    ELSIF _entry.kind = 'revenue' AND _entry.ref <> ALL (ledger_revenue_lines()) THEN
        PERFORM ledger_refuse('BW422', format('there is no revenue line %s', _entry.ref),
                              '{"param": "revenue"}');
    END IF;
END $$;

-- Before postings on a customer's own accounts: its wallets stand locked, its grants exist.
CREATE OR REPLACE FUNCTION ledger_lock_customer(_entries ledger_entry[], _tenant text)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    entry ledger_entry;
BEGIN
    FOR entry IN
        SELECT * FROM unnest(_entries) e WHERE e.kind IN ('receivable', 'grant') ORDER BY e.currency
    LOOP
        PERFORM wallet_lock(_tenant, entry.currency);
        IF entry.kind = 'grant' THEN
            PERFORM wallet_grant_row(_tenant, entry.currency, entry.ref);
        END IF;
    END LOOP;
END $$;

CREATE OR REPLACE FUNCTION ledger_post(
    _key text, _kind text, _tenant text, _occurred_at timestamptz, _postings jsonb,
    _data jsonb DEFAULT '{}', _reverses text DEFAULT NULL
) RETURNS text LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    entries ledger_entry[];
    hash text := ledger_hash(jsonb_build_array(_kind, _postings, _reverses));
    known ledger_transaction;
BEGIN
    PERFORM ledger_require_tenant(_tenant);
    PERFORM ledger_require_key(_key);
    entries := ledger_parse(_postings);
    known := ledger_known(_tenant, _key, hash);
    IF known.id IS NOT NULL THEN
        RETURN known.id;
    END IF;
    PERFORM ledger_lock_customer(entries, _tenant);
    RETURN ledger_write(ledger_new_id('txn_'), _key, hash, _kind, _tenant, _occurred_at,
                        entries, _data, _reverses => _reverses);
EXCEPTION WHEN unique_violation THEN  -- another session wrote the same key meanwhile
    known := ledger_known(_tenant, _key, hash);
    IF known.id IS NULL THEN
        RAISE;
    END IF;
    RETURN known.id;
END $$;

-- The same postings with their signs turned. A charge has fundings, which a reversal would leave
-- behind: what a customer was charged goes back by a charge below zero.
CREATE OR REPLACE FUNCTION ledger_reverse(
    _tenant text, _key text, _transaction text, _data jsonb DEFAULT '{}'
) RETURNS text LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    original ledger_transaction;
    postings jsonb;
BEGIN
    PERFORM ledger_require_tenant(_tenant);
    SELECT * INTO original FROM ledger_transaction WHERE tenant_id = _tenant AND id = _transaction;
    IF original.id IS NULL THEN
        PERFORM ledger_refuse('BW404', format('there is no transaction %s', _transaction));
    ELSIF original.kind = 'charge' THEN
        PERFORM ledger_refuse('BW422', 'a charge is given back by a charge below zero');
    END IF;
    SELECT jsonb_agg(jsonb_build_object(
        'tenant', a.tenant_id, 'kind', a.kind, 'ref', a.ref, 'currency', p.currency,
        'amount', (-p.amount)::text) ORDER BY p.id)
    INTO postings FROM ledger_posting p JOIN ledger_account a ON a.id = p.account_id
    WHERE p.transaction_id = _transaction;
    RETURN ledger_post(_key, 'reversal', _tenant, now(), postings, _data, _transaction);
END $$;
