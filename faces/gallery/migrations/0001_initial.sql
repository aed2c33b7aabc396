-- People, faces, unknown faces, and the feed of changes that workers follow.

CREATE EXTENSION IF NOT EXISTS vector;

CREATE TABLE tenants (
    tenant text PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE collections (
    collection_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant text NOT NULL REFERENCES tenants ON DELETE CASCADE,
    name text NOT NULL,
    settings jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (tenant, name)
);

CREATE TABLE people (
    person_id uuid PRIMARY KEY,
    collection_id bigint NOT NULL REFERENCES collections ON DELETE CASCADE,
    name text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 200),
    birthdate date,
    email text CHECK (char_length(email) <= 254),
    external_id text CHECK (char_length(external_id) <= 200),
    created_at timestamptz NOT NULL DEFAULT now(),
    -- What a face's foreign key points to, so that it cannot lie in another collection.
    UNIQUE (person_id, collection_id)
);
CREATE UNIQUE INDEX people_email ON people (collection_id, lower(email));
CREATE UNIQUE INDEX people_external_id ON people (collection_id, external_id);
CREATE INDEX people_by_name ON people (collection_id, lower(name), person_id);

CREATE TABLE faces (
    face_id uuid PRIMARY KEY,
    person_id uuid NOT NULL,
    collection_id bigint NOT NULL,
    -- halfvec: half the size of vector(512), and small enough not to be TOASTed.
    embedding halfvec(512) NOT NULL,
    model_tag text NOT NULL,
    -- The enrolment's job id, or the req_id of an unknown face: each enrols once.
    enrolled_by uuid NOT NULL UNIQUE,
    quality jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    FOREIGN KEY (person_id, collection_id)
        REFERENCES people (person_id, collection_id) ON DELETE CASCADE
);
CREATE INDEX faces_by_person ON faces (person_id);
CREATE INDEX faces_by_collection ON faces (collection_id, model_tag);

CREATE TABLE unmatched_faces (
    req_id uuid PRIMARY KEY,
    collection_id bigint NOT NULL REFERENCES collections ON DELETE CASCADE,
    job_id uuid NOT NULL,
    embedding halfvec(512) NOT NULL,
    model_tag text NOT NULL,
    box jsonb,
    quality jsonb,
    expires_at timestamptz NOT NULL
);
CREATE INDEX unmatched_faces_by_expiry ON unmatched_faces (expires_at);

-- The change feed: which face, or which person's name, changed. A follower reads what is
-- true of them now, so a row says no more.
CREATE TABLE changes (
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    face_id uuid,
    person_id uuid,
    changed_at timestamptz NOT NULL DEFAULT now(),
    CHECK (num_nonnulls(face_id, person_id) = 1)
);

-- One row: rows of the feed up to `pruned_to` are gone.
CREATE TABLE feed (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    pruned_to bigint NOT NULL DEFAULT 0
);
INSERT INTO feed DEFAULT VALUES;

-- Positions are given out when rows are written, but rows become visible when their
-- transaction commits. Were two writers let in at once, the one with the higher position
-- could commit first; a follower would go on from there and never see the other's rows.
-- So every transaction that writes to the feed takes this lock first, and PostgreSQL
-- releases it only after the commit is visible: positions become visible in order.
CREATE FUNCTION lock_feed() RETURNS void
    LANGUAGE sql AS 'SELECT pg_advisory_xact_lock(1181639525, 1)';

-- Triggers write the feed, so no statement can forget it, deletions by cascade included.
CREATE FUNCTION feed_new_faces() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM lock_feed();
    INSERT INTO changes (face_id) SELECT face_id FROM new_rows;
    RETURN NULL;
END $$;

CREATE FUNCTION feed_old_faces() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM lock_feed();
    INSERT INTO changes (face_id) SELECT face_id FROM old_rows;
    RETURN NULL;
END $$;

CREATE FUNCTION feed_renames() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM lock_feed();
    INSERT INTO changes (person_id)
        SELECT person_id FROM new_rows JOIN old_rows USING (person_id)
        WHERE new_rows.name <> old_rows.name;
    RETURN NULL;
END $$;

CREATE TRIGGER faces_inserted AFTER INSERT ON faces REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION feed_new_faces();
CREATE TRIGGER faces_updated AFTER UPDATE ON faces REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION feed_new_faces();
CREATE TRIGGER faces_deleted AFTER DELETE ON faces REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION feed_old_faces();
CREATE TRIGGER people_updated AFTER UPDATE ON people
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION feed_renames();

INSERT INTO tenants (tenant) VALUES ('default');
INSERT INTO collections (tenant, name) VALUES ('default', 'default');
