-- Which upload a face came from, so that the photo goes with the person.
ALTER TABLE faces ADD COLUMN job_id uuid;
-- Until now only enrolments by photo remembered their job; a req_id names no photo, and
-- deleting one that is not there does no harm.
UPDATE faces SET job_id = enrolled_by;
CREATE INDEX faces_by_job ON faces (job_id);

-- Photos that are to be deleted: written with the deletion of the person, so that none is
-- forgotten when the bucket does not answer.
CREATE TABLE photo_deletions (
    job_id uuid PRIMARY KEY,
    requested_at timestamptz NOT NULL
);

-- The threshold by which an unknown face was unknown: by the same it is checked later
-- whether somebody was enrolled meanwhile who looks like this.
ALTER TABLE unmatched_faces ADD COLUMN threshold real;
