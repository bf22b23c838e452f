"""The event log: an append-only sequence of records in partitions.

Two adapters stand behind the protocol of `protocol.py` and pass one contract suite:
`journal.py` (a SQLite file on this machine) and `kafka.py` (Kafka or Redpanda).
"""
