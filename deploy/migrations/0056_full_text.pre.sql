-- The texts of transcripts whose jobs ask to be searchable, in passages. Rows are deleted with their jobs, so that there is no
-- partition to drop: few jobs have any.

CREATE TABLE transcript_texts (
    job_id    uuid NOT NULL,
    number    integer NOT NULL,            -- of the passage
    tenant    text NOT NULL REFERENCES tenants,
    config    text NOT NULL,               -- how the words were reduced: a text search configuration
    body      text NOT NULL,
    segments  json NOT NULL,               -- [[the place in `body` where a segment begins, its start in seconds], …]
    words     tsvector NOT NULL,           -- also the tenant, so that the index finds no other tenant's rows
    PRIMARY KEY (job_id, number)
) WITH (toast_tuple_target = 4080);        -- a row stays in one place
CREATE INDEX transcript_texts_newest ON transcript_texts (tenant, job_id, number);  -- of words that most passages have
CREATE INDEX transcript_texts_words ON transcript_texts USING gin (words);

-- The first policy is for the function below: an index of words cannot be used with a condition of row-level security, because
-- the operator `@@` is not leakproof. The services' roles have the second one only.
CREATE POLICY of_search ON transcript_texts TO CURRENT_USER USING (true);
CREATE POLICY of_tenant ON transcript_texts USING ((SELECT sees_all_tenants())
    OR tenant = ANY ((SELECT seen_tenants())::text[]));
ALTER TABLE transcript_texts ENABLE ROW LEVEL SECURITY;
ALTER TABLE transcript_texts FORCE ROW LEVEL SECURITY;

CREATE FUNCTION word_of_tenant(tenant text) RETURNS text LANGUAGE sql IMMUTABLE RETURN 't' || md5(tenant);

-- The best of the newest passages with these words, of the tenant of the transaction. `configs`: those of the languages wanted.
-- `is_complete`: whether all passages with the words were considered.
CREATE FUNCTION search_transcripts(
    wanted text, configs text[], lowest uuid, highest uuid, created_from timestamptz, created_before timestamptz,
    most integer, skipped integer, page integer
) RETURNS TABLE (
    job_id uuid, number integer, filename text, created_at timestamptz, segments json, headline text, rank real,
    is_complete boolean, is_last boolean
) LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = public, pg_temp SET client_min_messages = warning
    SET plan_cache_mode = force_custom_plan -- rare and common words need different plans
    AS $$
DECLARE
    seen_tenant text := (seen_tenants())[1];
    each text;
    words_of_one tsquery;
    seen tsquery[] := '{}';
    every tsquery := '';
BEGIN
    FOREACH each IN ARRAY configs LOOP
        words_of_one := websearch_to_tsquery(each::regconfig, wanted);
        IF numnode(words_of_one) > 0 AND words_of_one <> ALL (seen) THEN
            seen := seen || words_of_one;
            every := every || words_of_one;
        END IF;
    END LOOP;
    IF numnode(every) = 0 OR cardinality(seen_tenants()) <> 1 THEN
        RETURN;
    END IF;
    RETURN QUERY
    WITH found AS MATERIALIZED (
        SELECT t.job_id, t.number, t.config, t.words FROM transcript_texts t
        WHERE t.words @@ (word_of_tenant(seen_tenant)::tsquery && every) AND t.tenant = seen_tenant AND t.config = ANY (configs)
            AND t.job_id >= lowest AND t.job_id < highest
        ORDER BY t.job_id DESC, t.number LIMIT most + 1
    ), ranked AS MATERIALIZED (
        SELECT f.job_id, f.number, j.filename, j.created_at, ts_rank(f.words, q.words) AS rank
        FROM found f CROSS JOIN LATERAL (SELECT websearch_to_tsquery(f.config::regconfig, wanted) AS words) q
            JOIN jobs j ON j.id = f.job_id
        WHERE f.words @@ q.words AND j.tenant = seen_tenant AND j.erased_at IS NULL
            AND j.status = 'COMPLETED' AND (created_from IS NULL OR j.created_at >= created_from)
            AND (created_before IS NULL OR j.created_at < created_before)
        ORDER BY rank DESC, f.job_id DESC, f.number OFFSET skipped LIMIT page + 1
    )
    SELECT r.job_id, r.number, r.filename, r.created_at, t.segments,
        ts_headline(t.config::regconfig, t.body, websearch_to_tsquery(t.config::regconfig, wanted),
            format('HighlightAll=true, StartSel=%s, StopSel=%s', chr(2), chr(3))),
        r.rank, (SELECT count(*) <= most FROM found), (SELECT count(*) <= page FROM ranked)
    FROM ranked r JOIN transcript_texts t ON t.job_id = r.job_id AND t.number = r.number
    ORDER BY r.rank DESC, r.job_id DESC, r.number LIMIT page;
END
$$;

-- The ingest searches by the function alone, and erases; the processor writes and erases.
-- safe: the previous version does not use the table; an installation may have other roles
DO $$
BEGIN
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'headrace_ingest') THEN
        REVOKE ALL ON FUNCTION search_transcripts FROM PUBLIC;
        GRANT EXECUTE ON FUNCTION search_transcripts TO headrace_ingest;
        REVOKE ALL ON transcript_texts FROM headrace_ingest;
        GRANT DELETE, SELECT (job_id) ON transcript_texts TO headrace_ingest;
    END IF;
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'headrace_processor') THEN
        REVOKE ALL ON transcript_texts FROM headrace_processor;
        GRANT INSERT, DELETE, SELECT (job_id, number, config, body, segments, words), UPDATE (config, body, segments, words)
            ON transcript_texts TO headrace_processor;
    END IF;
END
$$;
