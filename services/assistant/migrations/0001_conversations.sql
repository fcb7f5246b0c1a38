CREATE TABLE users (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name       text NOT NULL UNIQUE,
    first_seen timestamptz NOT NULL,
    last_seen  timestamptz NOT NULL
);
COMMENT ON TABLE users IS 'Who asked: consumers of the gateway; "anonymous" is everybody it did not name';

CREATE TABLE conversations (
    id         uuid PRIMARY KEY,
    user_id    bigint NOT NULL REFERENCES users,
    created_at timestamptz NOT NULL,
    last_at    timestamptz NOT NULL
);
COMMENT ON TABLE conversations IS 'What belongs together; the id is the one in X-Conversation-Id';
CREATE INDEX conversations_by_user ON conversations (user_id, last_at DESC);

CREATE TABLE messages (
    id               uuid PRIMARY KEY,
    conversation_id  uuid NOT NULL REFERENCES conversations,
    role             text NOT NULL,
    content          text NOT NULL,
    detail           jsonb,
    at               timestamptz NOT NULL,
    ordinal          integer NOT NULL,
    model            text,
    served_by        text,
    prompt_tokens    integer,
    generated_tokens integer,
    latency_ms       double precision,
    first_token_ms   double precision,
    truncated        boolean NOT NULL,
    cached           boolean NOT NULL
);
COMMENT ON TABLE messages IS 'What was said, in order of (at, ordinal); figures stand with answers alone';
COMMENT ON COLUMN messages.detail IS 'What an Ollama message has besides role and content: images, tool calls, thinking';
COMMENT ON COLUMN messages.model IS 'The model that answered; null where the client sent the message';
COMMENT ON COLUMN messages.latency_ms IS 'From the request to the end of the answer';
COMMENT ON COLUMN messages.truncated IS 'The end of the answer never came, or the client left before it';
COMMENT ON COLUMN messages.cached IS 'The answer was repeated; no model ran';
CREATE INDEX messages_by_conversation ON messages (conversation_id, at, ordinal);
CREATE INDEX answers_by_time ON messages (at) WHERE model IS NOT NULL;

CREATE TABLE deliveries (
    spool      uuid PRIMARY KEY,
    sequence   bigint NOT NULL,
    updated_at timestamptz NOT NULL
);
COMMENT ON TABLE deliveries IS 'How far the spool of each assistant has been applied; makes each line count once';
