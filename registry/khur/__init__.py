"""Look-ups in KHUR, the state's data exchange: a legal entity, an address.

Cast: ``client`` (our HTTP contract of docs/khur.md with closed outcomes), ``lookup`` (the cache, the
audit), ``models`` (the table). KHUR has no public text of its interface: the city runs an adapter that
speaks the contract, and ``utaa sim khur`` is a stand-in that enforces it.

One look-up's journey: a clerk asks, with a reason → the audit gets the entry first (what was asked only
as a keyed hash) → a fresh answer is taken from the cache, else the adapter is asked → found and unknown
are kept, sealed, for as long as the adapter said; refusals and failures are not kept.
"""
