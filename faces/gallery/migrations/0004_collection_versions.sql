-- Which collection a change belongs to, so that it can be told whether an answer still
-- holds: as long as a collection's newest change is the same.

ALTER TABLE changes ADD COLUMN collection_id bigint;
CREATE INDEX changes_by_collection ON changes (collection_id, position);

CREATE OR REPLACE FUNCTION feed_new_faces() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM lock_feed();
    INSERT INTO changes (face_id, collection_id) SELECT face_id, collection_id FROM new_rows;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION feed_old_faces() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM lock_feed();
    INSERT INTO changes (face_id, collection_id) SELECT face_id, collection_id FROM old_rows;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION feed_renames() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM lock_feed();
    INSERT INTO changes (person_id, collection_id)
        SELECT person_id, new_rows.collection_id FROM new_rows JOIN old_rows USING (person_id)
        WHERE new_rows.name <> old_rows.name;
    RETURN NULL;
END $$;

-- Other settings (a threshold) may make another answer of the same faces. The feed tells
-- of a face that never was: followers have nothing to do for it.
CREATE FUNCTION feed_settings() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO changes (face_id, collection_id)
        SELECT gen_random_uuid(), collection_id FROM new_rows JOIN old_rows USING (collection_id)
        WHERE new_rows.settings <> old_rows.settings;
    RETURN NULL;
END $$;

-- Before any row is locked, as everywhere.
CREATE FUNCTION lock_feed_first() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM lock_feed();
    RETURN NULL;
END $$;

CREATE TRIGGER collections_lock BEFORE UPDATE ON collections
    FOR EACH STATEMENT EXECUTE FUNCTION lock_feed_first();
CREATE TRIGGER collections_updated AFTER UPDATE ON collections
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION feed_settings();
