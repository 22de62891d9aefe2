"""Updates of nodes over the air: the key that signs them, the bundle, and the commands that make both.

keys        the RSA-2048 key: made once, kept from nodes and servers; nodes know its public modulus
bundle      one file with a signed manifest and the program's files, as the node's `staging.py` reads it
commands    `qytet bench key`, `qytet bench bundle`
"""
