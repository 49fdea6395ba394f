"""WHERE messages go: the closed registry of topics, partitioning, plan and apply, publishing, the schema registry."""
