"""Signing in by another's word: OpenID Connect with PKCE, and the state's DAN.

Cast: ``Provider`` (begins a sign-in and reads its answer), ``routes`` (its addresses in this site).
A visitor is sent out with a sealed ticket in a cookie; what comes back counts only with that ticket.
"""
