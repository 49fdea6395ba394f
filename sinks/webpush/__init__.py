"""Web push: RFC 8291 encryption, RFC 8292 identification, RFC 8030 delivery, and what each service answers."""
