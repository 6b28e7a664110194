-- What every function of the ledger stands on: refusals, the tenant's guard, exact arithmetic, ids.
--
-- Functions without SECURITY DEFINER are internal: they run inside one that has it, as the owner.
-- Parameters begin with an underscore, so that no column can be mistaken for one.

-- SQLSTATEs of class BW are ours; DETAIL is JSON for the caller (tenants/ledger/errors.py).
CREATE OR REPLACE FUNCTION ledger_refuse(_state text, _message text, _detail jsonb DEFAULT '{}')
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = _state, MESSAGE = _message, DETAIL = _detail::text;
END $$;

-- A session that acts for one tenant touches no other's money. One that names none must be a login
-- that may do everything: the app's role without a tenant is refused (fail closed).
CREATE OR REPLACE FUNCTION ledger_require_tenant(_tenant text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    acting_for text := nullif(current_setting('app.tenant', true), '');
BEGIN
    IF acting_for IS NULL THEN
        IF NOT has_function_privilege(session_user, 'ledger_for_all()', 'EXECUTE') THEN
            PERFORM ledger_refuse('BW404', 'no tenant is in scope');
        END IF;
    ELSIF acting_for IS DISTINCT FROM _tenant THEN
        PERFORM ledger_refuse('BW404', format('there is no tenant %s here', _tenant));
    END IF;
END $$;

-- A mark, without effect: a login that may execute it acts for every tenant.
CREATE OR REPLACE FUNCTION ledger_for_all() RETURNS void LANGUAGE sql AS 'SELECT';

CREATE OR REPLACE FUNCTION ledger_require_key(_key text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF _key IS NULL OR length(_key) NOT BETWEEN 1 AND 200 THEN
        PERFORM ledger_refuse('BW422', 'a key has 1 to 200 characters', '{"param": "key"}');
    END IF;
END $$;

-- NaN and the infinities count as too large: PostgreSQL sorts NaN above every number.
CREATE OR REPLACE FUNCTION ledger_require_exact(_amount numeric, _param text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF _amount IS NULL OR _amount >= 1e15 OR _amount <= -1e15 OR _amount <> round(_amount, 12) THEN
        PERFORM ledger_refuse(
            'BW422', format('%s is under 10^15 and has at most 12 decimals, not %s', _param, _amount),
            jsonb_build_object('param', _param)
        );
    END IF;
END $$;

CREATE OR REPLACE FUNCTION ledger_require_positive(_amount numeric, _param text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM ledger_require_exact(_amount, _param);
    IF _amount <= 0 THEN
        PERFORM ledger_refuse(
            'BW422', format('%s is above zero, not %s', _param, _amount),
            jsonb_build_object('param', _param)
        );
    END IF;
END $$;

-- Half to even, to 12 decimals (PostgreSQL's own round() goes away from zero).
CREATE OR REPLACE FUNCTION ledger_round(_amount numeric) RETURNS numeric
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN abs(_amount - trunc(_amount, 12)) = 0.0000000000005
             AND mod(trunc(_amount, 12) * 1e12, 2) = 0
        THEN trunc(_amount, 12) ELSE round(_amount, 12) END
$$;

-- a / b cut off after 12 decimals. div() is exact; `/` would round first.
CREATE OR REPLACE FUNCTION ledger_divide(_amount numeric, _by numeric) RETURNS numeric
LANGUAGE sql IMMUTABLE AS $$ SELECT div(_amount * 1e12, _by) * 0.000000000001 $$;

CREATE OR REPLACE FUNCTION ledger_hash(_payload jsonb) RETURNS text
LANGUAGE sql IMMUTABLE AS $$ SELECT encode(sha256(convert_to(_payload::text, 'UTF8')), 'hex') $$;

CREATE OR REPLACE FUNCTION ledger_month(_at timestamptz) RETURNS date
LANGUAGE sql IMMUTABLE AS $$ SELECT date_trunc('month', _at AT TIME ZONE 'UTC')::date $$;

-- A ULID in lower case, as tenants/kernel/ids.py makes them: 48 bits of milliseconds, then chance.
CREATE OR REPLACE FUNCTION ledger_new_id(_prefix text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    alphabet CONSTANT text := '0123456789abcdefghjkmnpqrstvwxyz';
    milliseconds bigint := floor(extract(epoch FROM clock_timestamp()) * 1000);
    chance bytea := uuid_send(gen_random_uuid());
    id text := _prefix;
BEGIN
    FOR place IN REVERSE 9..0 LOOP
        id := id || substr(alphabet, ((milliseconds >> (5 * place)) & 31)::int + 1, 1);
    END LOOP;
    FOR place IN 0..15 LOOP
        id := id || substr(alphabet, (get_byte(chance, place) & 31) + 1, 1);
    END LOOP;
    RETURN id;
END $$;
