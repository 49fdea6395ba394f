-- Tells whether a publication carries inserts only, and whether it covers all tables.
SELECT pubinsert AND NOT (pubupdate OR pubdelete OR pubtruncate) AS inserts_only,
       puballtables AS covers_all
FROM pg_publication
WHERE pubname = %(publication)s
