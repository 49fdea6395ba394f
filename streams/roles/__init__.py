"""The roles: what each worker process does with the records it reads and the rows it claims.

A role decides in pure modules (`decoding`, `mapping`, `rendering`, `dispatch_decisions`, `push_decisions`) and acts
through ports (`ports`, `sinks.ports`); `memory` holds stores for tests and dry runs.
"""
