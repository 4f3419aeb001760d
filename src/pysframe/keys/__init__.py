"""Decides which key may come next. The decisions are pure; only `derived` holds secrets.

layouts   how a KID is composed: RFC 9605 5.1 and 5.2
plan      the answers of the rules: keys to derive, to drop and to forget
ratchet   the rules of 5.1: a sender's generations and ratchet steps
epochs    the rules of 5.2: the epochs of an MLS group
port      the operations of an engine's receiver that `derived` needs
derived   a receiver's secrets, moved as the rules decide
"""
