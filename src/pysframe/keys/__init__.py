"""Which key may come next: pure decisions, and no key among them.

layouts   how a KID is put together: RFC 9605 5.1 and 5.2
plan      what the rules answer: keys to derive, to keep and to forget
ratchet   the rules of 5.1: a sender's generations and ratchet steps
epochs    the rules of 5.2: the epochs of an MLS group
port      what all of this needs of an engine's receiver
derived   a receiver's secrets, moved as the rules say
"""
