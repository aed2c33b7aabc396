-- What was enrolled already, by the job or the req_id, though its face be gone: a message
-- that comes again, or a worker that is late, must not bring a deleted face back. Kept for
-- longer than any queue keeps a message.
CREATE TABLE enrolled_once (
    enrolled_by uuid PRIMARY KEY,
    enrolled_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX enrolled_once_by_age ON enrolled_once (enrolled_at);
INSERT INTO enrolled_once (enrolled_by) SELECT enrolled_by FROM faces WHERE job_id IS NOT NULL;
