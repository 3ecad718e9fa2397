-- +goose Up

-- Who works a callback reads busy until busy_until, and then again as before: as state says,
-- which is empty where they never said anything.
ALTER TABLE presence ADD COLUMN busy_until text;
-- Until now working one was written as said, and lapsed to offline. What somebody really said
-- cannot be told from it, and would have lapsed within 15 minutes.
DELETE FROM presence WHERE state = 'busy';
