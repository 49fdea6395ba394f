"""How an event leaves: web push, PostHog, PostgreSQL. Each sink answers with an outcome, never with a guess."""
