-- Lists the tables of schema public that a publication carries.
SELECT tablename
FROM pg_publication_tables
WHERE pubname = %(publication)s
  AND schemaname = 'public'
