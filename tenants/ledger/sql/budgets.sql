-- Budgets: what a month may cost, tax in it. All of it happens under the wallet's lock.

CREATE OR REPLACE FUNCTION budget_counts(_budget budget, _labels jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE _budget.subject
        WHEN 'tenant' THEN true
        WHEN 'api_key' THEN _labels->>'api_key_id' IS NOT DISTINCT FROM _budget.ref
        ELSE _labels->>'model' IS NOT DISTINCT FROM _budget.ref END
$$;

CREATE OR REPLACE FUNCTION budget_matching(_tenant text, _currency text, _labels jsonb)
RETURNS SETOF budget LANGUAGE sql STABLE AS $$
    SELECT b.* FROM budget b WHERE b.tenant_id = _tenant AND b.currency = _currency
        AND b.archived_at IS NULL AND budget_counts(b, _labels)
    ORDER BY b.id
$$;

-- What the charges of a month say was spent: also those from before the budget was made.
CREATE OR REPLACE FUNCTION budget_charged(_budget budget, _period date) RETURNS numeric
LANGUAGE sql STABLE AS $$
    SELECT coalesce(sum((t.answer->>'net')::numeric + (t.answer->>'tax')::numeric), 0)
    FROM ledger_transaction t
    WHERE t.tenant_id = _budget.tenant_id AND t.kind = 'charge'
        AND t.occurred_at >= _period::timestamp AT TIME ZONE 'UTC'
        AND t.occurred_at < (_period + interval '1 month') AT TIME ZONE 'UTC'
        AND t.answer->>'currency' = _budget.currency AND budget_counts(_budget, t.labels)
$$;

CREATE OR REPLACE FUNCTION budget_held(_budget budget, _period date) RETURNS numeric
LANGUAGE sql STABLE AS $$
    SELECT coalesce(sum(p.amount), 0)
    FROM hold_part p JOIN hold h ON h.id = p.hold_id JOIN wallet w ON w.id = h.wallet_id
    WHERE p.tenant_id = _budget.tenant_id AND w.currency = _budget.currency
        AND h.period = _period AND budget_counts(_budget, h.labels)
$$;

-- What is held since earlier months, and not carried over yet.
CREATE OR REPLACE FUNCTION budget_held_before(_budget budget, _period date) RETURNS numeric
LANGUAGE sql STABLE AS $$
    SELECT coalesce(sum(budget_held(_budget, h.period)), 0)
    FROM (SELECT DISTINCT period FROM hold WHERE tenant_id = _budget.tenant_id
          AND id IN (SELECT hold_id FROM hold_part WHERE tenant_id = _budget.tenant_id)
          AND period < _period) AS h
$$;

-- The row that counts one month, made from the books when it is first needed.
CREATE OR REPLACE FUNCTION budget_month(_budget budget, _period date) RETURNS budget_spend
LANGUAGE plpgsql AS $$
DECLARE
    found budget_spend;
BEGIN
    SELECT * INTO found FROM budget_spend
    WHERE tenant_id = _budget.tenant_id AND budget_id = _budget.id AND period = _period;
    IF found.id IS NULL THEN
        INSERT INTO budget_spend (tenant_id, budget_id, period, spent, held)
        VALUES (_budget.tenant_id, _budget.id, _period,
                budget_charged(_budget, _period), budget_held(_budget, _period))
        RETURNING * INTO found;
    END IF;
    RETURN found;
END $$;

-- Count what is about to be charged, held or let go. Called before the books change, because the
-- first call of a month reads them.
CREATE OR REPLACE FUNCTION budget_move(
    _tenant text, _currency text, _labels jsonb, _period date, _spent numeric, _held numeric
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    counted budget;
    month budget_spend;
BEGIN
    FOR counted IN SELECT * FROM budget_matching(_tenant, _currency, _labels) LOOP
        month := budget_month(counted, _period);
        UPDATE budget_spend SET spent = spent + _spent, held = held + _held
        WHERE id = month.id RETURNING * INTO month;
        PERFORM budget_tell(counted, month);
    END LOOP;
END $$;

-- `budget.passed`, once a month: the fact goes to the outbox with the charge that made it true.
CREATE OR REPLACE FUNCTION budget_tell(_budget budget, _month budget_spend) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF _month.passed_at IS NOT NULL OR _month.spent < _budget.soft OR _budget.soft IS NULL THEN
        RETURN;
    END IF;
    UPDATE budget_spend SET passed_at = now() WHERE id = _month.id;
    INSERT INTO outbox_event
        (event_id, tenant_id, name, aggregate_id, payload, trace_id, attempts, last_error)
    VALUES (ledger_new_id('evt_'), _budget.tenant_id, 'budget.passed', _budget.id,
        jsonb_build_object(
            'tenant_id', _budget.tenant_id, 'budget_id', _budget.id, 'subject', _budget.subject,
            'ref', _budget.ref, 'period', _month.period, 'currency', _budget.currency,
            'soft', trim_scale(_budget.soft)::text, 'spent', trim_scale(_month.spent)::text
        ), '', 0, '');
    PERFORM pg_notify('outbox', '');
END $$;

CREATE OR REPLACE FUNCTION budget_refuse(_budget budget, _month budget_spend) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM ledger_refuse('BW403', 'a budget is used up', jsonb_build_object(
        'budget', _budget.id, 'subject', _budget.subject, 'ref', _budget.ref,
        'hard', trim_scale(_budget.hard)::text, 'spent', trim_scale(_month.spent)::text,
        'held', trim_scale(_month.held)::text, 'currency', _budget.currency
    ));
END $$;

-- Holds of earlier months count in this one's budgets from its first moment: their charges will.
CREATE OR REPLACE FUNCTION budget_carry(_tenant text, _currency text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    carried hold;
BEGIN
    FOR carried IN
        SELECT h.* FROM hold h JOIN wallet w ON w.id = h.wallet_id
        WHERE w.currency = _currency AND h.period < ledger_month(clock_timestamp())
            AND h.id IN (SELECT hold_id FROM hold_part WHERE tenant_id = _tenant)
        ORDER BY h.id
    LOOP
        PERFORM hold_renew(carried, _currency);
    END LOOP;
END $$;

-- Refuses what would pass a hard limit this month.
CREATE OR REPLACE FUNCTION budget_require(
    _tenant text, _currency text, _labels jsonb, _amount numeric
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    counted budget;
    month budget_spend;
BEGIN
    FOR counted IN SELECT * FROM budget_matching(_tenant, _currency, _labels) LOOP
        PERFORM budget_carry(_tenant, _currency);
        month := budget_month(counted, ledger_month(clock_timestamp()));
        IF month.spent + month.held + _amount > counted.hard THEN
            PERFORM budget_refuse(counted, month);
        END IF;
    END LOOP;
END $$;

-- Refuses where a hard limit is used up. Takes no lock and writes nothing: a month without a row is
-- one in which nothing was charged or held, but for what is held since before.
CREATE OR REPLACE FUNCTION budget_require_left(_tenant text, _currency text, _labels jsonb)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    counted budget;
    month budget_spend;
    this_month date := ledger_month(clock_timestamp());
BEGIN
    FOR counted IN SELECT * FROM budget_matching(_tenant, _currency, _labels) LOOP
        SELECT * INTO month FROM budget_spend s WHERE s.tenant_id = _tenant
            AND s.budget_id = counted.id AND s.period = this_month;
        month.spent := coalesce(month.spent, 0);
        month.held := coalesce(month.held, 0) + budget_held_before(counted, this_month);
        IF month.spent + month.held >= counted.hard THEN
            PERFORM budget_refuse(counted, month);
        END IF;
    END LOOP;
END $$;

CREATE OR REPLACE FUNCTION budget_require_limits(_soft numeric, _hard numeric) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF _soft IS NULL AND _hard IS NULL THEN
        PERFORM ledger_refuse('BW422', 'a budget has a soft or a hard limit', '{"param": "hard"}');
    END IF;
    IF _soft IS NOT NULL THEN
        PERFORM ledger_require_positive(_soft, 'soft');
    END IF;
    IF _hard IS NOT NULL AND _hard <> 0 THEN  -- zero: nothing may be spent
        PERFORM ledger_require_positive(_hard, 'hard');
    END IF;
    IF _soft > _hard THEN
        PERFORM ledger_refuse('BW422', 'the soft limit lies above the hard one', '{"param": "soft"}');
    END IF;
END $$;

CREATE OR REPLACE FUNCTION budget_create(
    _tenant text, _currency text, _subject text, _ref text, _soft numeric, _hard numeric
) RETURNS text LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    made budget;
BEGIN
    PERFORM wallet_lock(_tenant, _currency);
    PERFORM budget_require_limits(_soft, _hard);
    IF _subject NOT IN ('tenant', 'api_key', 'model') OR (_subject = 'tenant') <> (_ref = '') THEN
        PERFORM ledger_refuse('BW422', 'a budget is for the tenant, or for a named api_key or model',
                              '{"param": "subject"}');
    ELSIF EXISTS (SELECT FROM budget WHERE tenant_id = _tenant AND currency = _currency
                  AND subject = _subject AND ref = _ref AND archived_at IS NULL) THEN
        PERFORM ledger_refuse('BW409', 'there is a budget for this already; change that one',
                              '{"code": "budget_exists"}');
    END IF;
    INSERT INTO budget (id, tenant_id, subject, ref, currency, soft, hard)
    VALUES (ledger_new_id('budget_'), _tenant, _subject, _ref, _currency, _soft, _hard)
    RETURNING * INTO made;
    PERFORM budget_tell(made, budget_month(made, ledger_month(now())));
    RETURN made.id;
END $$;

-- A budget in use, its wallet locked. Raises BW404.
CREATE OR REPLACE FUNCTION budget_row(_tenant text, _budget text) RETURNS budget
LANGUAGE plpgsql AS $$
DECLARE
    found budget;
BEGIN
    PERFORM ledger_require_tenant(_tenant);
    SELECT * INTO found FROM budget
    WHERE tenant_id = _tenant AND id = _budget AND archived_at IS NULL;
    IF found.id IS NULL THEN
        PERFORM ledger_refuse('BW404', format('there is no budget %s', _budget));
    END IF;
    PERFORM wallet_lock(_tenant, found.currency);
    RETURN found;
END $$;

CREATE OR REPLACE FUNCTION budget_change(_tenant text, _budget text, _soft numeric, _hard numeric)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    found budget := budget_row(_tenant, _budget);
BEGIN
    PERFORM budget_require_limits(_soft, _hard);
    UPDATE budget SET soft = _soft, hard = _hard WHERE id = found.id RETURNING * INTO found;
    PERFORM budget_tell(found, budget_month(found, ledger_month(now())));
END $$;

CREATE OR REPLACE FUNCTION budget_archive(_tenant text, _budget text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    found budget := budget_row(_tenant, _budget);
BEGIN
    UPDATE budget SET archived_at = now() WHERE id = found.id;
END $$;
