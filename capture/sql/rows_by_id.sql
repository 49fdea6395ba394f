-- Reads whole rows in the order of the given ids; {table} is filled in as an identifier.
SELECT t.*
FROM unnest(%(ids)s::bigint[]) WITH ORDINALITY AS wanted (id, place)
JOIN public.{table} AS t ON t.id = wanted.id
ORDER BY wanted.place
