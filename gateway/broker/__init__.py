"""The city's broker with its doors closed: who may connect, and what each may say and hear.

Cast: ``ca`` (a small certificate authority of our own: the files and the arithmetic), ``rules`` (from
the register and the certificates to the roles and clients the broker should have; pure), ``control``
(asks Mosquitto's dynamic-security plugin what it has and brings it there), ``commands`` (the command
line: ``utaa ca``, ``utaa broker``).

A site's journey: ``utaa ca issue site s1`` signs a certificate whose common name is new for every
certificate; ``utaa broker sync`` gives that name the role of site s1, which may publish and read under
``utaa/v1/site/s1`` and nowhere else; ``utaa ca revoke`` and another ``sync`` take the name away, and
the broker drops the connection at once, without a restart. A renewed certificate has another name and
works beside the old one until that is revoked, so an alarm never waits for a rotation.
"""
