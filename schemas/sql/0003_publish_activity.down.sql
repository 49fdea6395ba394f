-- Takes 0003_publish_activity back.
DROP FUNCTION bongsu_publish_activity;
