-- Who sells under a name, by which terms, and what that agreement has come to: read while a customer
-- is charged, whose own role sees no partner's agreement.
--
-- Sales under one agreement follow one another until the transaction ends, where its tiers
-- or its cap count what came before. Sorted, so that two charges take these locks in one order.
CREATE OR REPLACE FUNCTION partner_terms(_sellers text[], _at timestamptz, _currency text)
RETURNS TABLE (seller text, partner text, agreement text, terms text, sold text, borne numeric)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    found record;
BEGIN
    FOR found IN
        SELECT DISTINCT a.id FROM seller s JOIN agreement a ON a.tenant_id = s.partner_id
        WHERE s.name = ANY (_sellers) AND a.starts <= _at AND coalesce(a.ends > _at, true)
            AND (a.terms->>'cost_cap' IS NOT NULL
                 OR jsonb_path_exists(a.terms, '$.lines.*.tiers[1]'))
        ORDER BY a.id
    LOOP
        PERFORM pg_advisory_xact_lock(1007, hashtext(found.id));
    END LOOP;
    RETURN QUERY
    SELECT s.name::text, s.partner_id::text, a.id::text, a.terms::text,
        coalesce((
            SELECT jsonb_object_agg(m.revenue, m.net::text) FROM (
                SELECT p.revenue, sum(p.net) AS net FROM partner_share p
                WHERE p.agreement_id = a.id AND p.currency = _currency
                    AND p.period = date_trunc('month', _at AT TIME ZONE 'UTC')::date
                    AND a.terms->>'currency' = _currency
                    AND jsonb_path_exists(a.terms, '$.lines.*.tiers[1]')
                GROUP BY p.revenue
            ) AS m
        ), '{}')::text,
        coalesce((
            SELECT sum(p.cost) FROM partner_share p
            WHERE p.agreement_id = a.id AND p.currency = _currency
                AND a.terms->>'cost_cap' IS NOT NULL
        ), 0)
    FROM seller s JOIN agreement a ON a.tenant_id = s.partner_id
    WHERE s.name = ANY (_sellers) AND a.starts <= _at AND coalesce(a.ends > _at, true)
    ORDER BY s.name;
END $$;
