"""The stream engine: Faust, given one event per fetched partition slice.

The one place that touches Faust's and aiokafka's internals. It owns, for its input topics, the commit position, the
delivery position and the order; changelogs and everything else in Faust stay stock.

Invariant: an offset is committed only after every record below it was handled or dead-lettered.
"""
