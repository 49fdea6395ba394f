"""PostHog: events in batches to `/batch/`, delivered only when a 2xx says so."""
