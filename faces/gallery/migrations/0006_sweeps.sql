-- Up to when the retention of photos and results was looked at; null: never, or a
-- collection's retention was changed since.
CREATE TABLE sweeps (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    swept_to timestamptz
);
INSERT INTO sweeps DEFAULT VALUES;
