-- A collection has a fixed threshold or a false accept rate; where both stood, the
-- threshold counted.
UPDATE collections SET settings = settings - 'false_accept_rate'
WHERE settings ->> 'threshold' IS NOT NULL AND settings ->> 'false_accept_rate' IS NOT NULL;
