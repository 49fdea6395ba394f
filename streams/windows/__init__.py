"""Windows: how changes become counts that are right after any crash, and how counts are read again.

Phase one (`fold`, `counting`) counts the changes of one source partition into panes held in a Faust Table; phase two
(`merge`, `follower`) reads that Table's changelog, all partitions of it, and sums. Invariant: each change is counted
once, whatever is redelivered, split, killed or frozen in between (design.md §7, G3).
"""
