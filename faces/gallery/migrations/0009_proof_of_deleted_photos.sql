-- Whose photos are to be deleted and who asked for it, so that the log tells when they went.
-- Rows from before say nothing, and are deleted without an entry.
ALTER TABLE photo_deletions
    ADD COLUMN tenant text,
    ADD COLUMN collection text,
    ADD COLUMN key_id text;
