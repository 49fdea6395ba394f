-- What a publication carries: inserts only or not, and the tables of schema public in it.
SELECT p.pubinsert AND NOT (p.pubupdate OR p.pubdelete OR p.pubtruncate) AS inserts_only,
       ARRAY(SELECT t.tablename::text FROM pg_publication_tables t
             WHERE t.pubname = p.pubname AND t.schemaname = 'public') AS tables
FROM pg_publication p
WHERE p.pubname = %(publication)s
