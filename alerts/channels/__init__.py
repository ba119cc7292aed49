"""Channels: each file knows one provider, all answer with the same typed outcome.

Cast: ``base`` (message, outcome, the closed reasons, the protocol), ``email`` (SMTP),
``webpush`` (VAPID and RFC 8291), ``sms`` (a Kannel-like gateway). A channel sends
one message and says what became of it; it keeps no rows, retries nothing and decides nothing. No
outcome, log line or error of a channel carries an address or a secret.
"""
