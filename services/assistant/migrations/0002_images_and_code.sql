CREATE TABLE generated_images (
    id         uuid PRIMARY KEY,
    user_id    bigint NOT NULL REFERENCES users,
    prompt     text NOT NULL,
    negative   text NOT NULL,
    checkpoint text NOT NULL,
    width      integer NOT NULL,
    height     integer NOT NULL,
    steps      integer NOT NULL,
    seed       bigint NOT NULL,
    size_bytes bigint NOT NULL,
    seconds    double precision NOT NULL,
    object_key text NOT NULL,
    served_by  text NOT NULL,
    at         timestamptz NOT NULL
);
COMMENT ON TABLE generated_images IS 'Images that were drawn; the pixels lie in the bucket';
COMMENT ON COLUMN generated_images.seconds IS 'From the request to the image in the bucket';
CREATE INDEX generated_images_by_user ON generated_images (user_id, at DESC);

CREATE TABLE code_snippets (
    id               uuid PRIMARY KEY,
    user_id          bigint NOT NULL REFERENCES users,
    model            text NOT NULL,
    prompt           text NOT NULL,
    answer           text NOT NULL,
    code             text NOT NULL,
    language         text,
    served_by        text NOT NULL,
    prompt_tokens    integer,
    generated_tokens integer,
    latency_ms       double precision NOT NULL,
    truncated        boolean NOT NULL,
    analysis         jsonb,
    analysed_at      timestamptz,
    at               timestamptz NOT NULL
);
COMMENT ON TABLE code_snippets IS 'Code that was generated';
COMMENT ON COLUMN code_snippets.answer IS 'All that the model wrote';
COMMENT ON COLUMN code_snippets.code IS 'The fenced blocks of the answer, or all of it where it has none';
COMMENT ON COLUMN code_snippets.analysis IS 'What SonarQube found; null until it did, and where there is none';
CREATE INDEX code_snippets_by_user ON code_snippets (user_id, at DESC);
