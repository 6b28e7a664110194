-- How a partner's plugins fare, over all tenants: counts, and no words of any tenant's.
CREATE OR REPLACE FUNCTION partner_health(_partner text)
RETURNS TABLE (plugin text, version text, installs int, calls bigint, failures text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF nullif(current_setting('app.tenant', true), '') IS DISTINCT FROM _partner
        AND NOT has_function_privilege(session_user, 'ledger_for_all()', 'EXECUTE')
    THEN
        RETURN;
    END IF;
    RETURN QUERY
    SELECT r.plugin::text, r.version::text, r.installs::int, coalesce(sum(h.calls), 0)::bigint,
        coalesce((
            SELECT jsonb_object_agg(f.kind, f.times) FROM (
                SELECT e.key AS kind, sum(e.value::int) AS times
                FROM plugin_health d, jsonb_each_text(d.failures) AS e
                WHERE d.release_id = r.id AND d.day > current_date - 30 GROUP BY e.key
            ) AS f
        ), '{}')::text
    FROM plugin_release r LEFT JOIN plugin_health h
        ON h.release_id = r.id AND h.day > current_date - 30
    WHERE r.partner_id = _partner
    GROUP BY r.id ORDER BY r.plugin, r.published_at DESC;
END $$;
