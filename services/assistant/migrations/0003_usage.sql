CREATE TABLE api_usage (
    user_id          bigint NOT NULL REFERENCES users,
    route            text NOT NULL,
    day              date NOT NULL,
    requests         bigint NOT NULL,
    prompt_tokens    bigint NOT NULL,
    generated_tokens bigint NOT NULL,
    errors           bigint NOT NULL,
    PRIMARY KEY (user_id, day, route)
);
COMMENT ON TABLE api_usage IS 'What each consumer used, a row a route and day (UTC)';
CREATE INDEX api_usage_by_day ON api_usage (day);

CREATE VIEW usage_by_day AS
SELECT u.name AS consumer, a.route, a.day, a.requests, a.prompt_tokens, a.generated_tokens, a.errors
FROM api_usage a JOIN users u ON u.id = a.user_id;
COMMENT ON VIEW usage_by_day IS 'For dashboards: who used what';

CREATE VIEW answers_by_hour AS
SELECT date_trunc('hour', at) AS hour, model, served_by,
       count(*) AS answers,
       count(*) FILTER (WHERE cached) AS cached,
       count(*) FILTER (WHERE truncated) AS truncated,
       sum(prompt_tokens) AS prompt_tokens,
       sum(generated_tokens) AS generated_tokens,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY latency_ms) AS latency_ms_p50,
       percentile_cont(0.95) WITHIN GROUP (ORDER BY latency_ms) AS latency_ms_p95,
       percentile_cont(0.95) WITHIN GROUP (ORDER BY first_token_ms) AS first_token_ms_p95
FROM messages WHERE model IS NOT NULL
GROUP BY 1, 2, 3;
COMMENT ON VIEW answers_by_hour IS 'For dashboards: chat answers, without what they say';

CREATE VIEW images_by_day AS
SELECT (at AT TIME ZONE 'UTC')::date AS day, checkpoint, served_by,
       count(*) AS images, sum(size_bytes) AS size_bytes, avg(seconds) AS seconds_mean
FROM generated_images GROUP BY 1, 2, 3;
COMMENT ON VIEW images_by_day IS 'For dashboards: images, without their prompts';

CREATE VIEW code_by_day AS
SELECT (at AT TIME ZONE 'UTC')::date AS day, model, served_by, language,
       count(*) AS snippets, count(analysis) AS analysed,
       sum(generated_tokens) AS generated_tokens
FROM code_snippets GROUP BY 1, 2, 3, 4;
COMMENT ON VIEW code_by_day IS 'For dashboards: code, without what it says';

CREATE VIEW conversations_by_day AS
SELECT (created_at AT TIME ZONE 'UTC')::date AS day, count(*) AS conversations,
       count(DISTINCT user_id) AS consumers
FROM conversations GROUP BY 1;
COMMENT ON VIEW conversations_by_day IS 'For dashboards: how many conversations began';
