-- One writer holds the feed's lock at a time, so none may hold it for long. A client that
-- vanished in mid-transaction (a terminated instance, a frozen Lambda) would otherwise
-- block every enrolment until TCP gives it up, by default after two hours: its session is
-- ended when it says nothing for 10 s. Who waits is turned away after 5 s and may try again.
CREATE OR REPLACE FUNCTION lock_feed() RETURNS void LANGUAGE plpgsql
    SET lock_timeout = '5s' AS $$
BEGIN
    PERFORM set_config('idle_in_transaction_session_timeout', '10s', true);
    PERFORM pg_advisory_xact_lock(1181639525, 1);
END $$;
