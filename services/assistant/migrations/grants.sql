-- The roles are made elsewhere, before or after: this runs every time, for those that exist.
DO $grants$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'assistant') THEN
        GRANT SELECT, INSERT, UPDATE ON users, conversations, api_usage, deliveries, code_snippets
            TO assistant;
        GRANT SELECT, INSERT ON messages, generated_images TO assistant;
        GRANT SELECT ON usage_by_day TO assistant;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'dashboards') THEN
        GRANT SELECT ON usage_by_day, answers_by_hour, images_by_day, code_by_day,
            conversations_by_day TO dashboards;
    END IF;
END
$grants$;
