"""What a Python team would write instead: FastAPI, aiokafka, and one INSERT an event with asyncpg.

It answers after Kafka's acknowledgement, as ours does, and stores each event once. It validates fields, and
hashes the address with the user agent; visits, rollups, bots, limits, a spool and a ledger it has not.
"""
