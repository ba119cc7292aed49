"""A person's account beyond name and password: second factor, sessions, other doors, emergencies.

Cast: ``SecondFactors`` (TOTP and recovery codes), ``Accounts`` (password, sessions, being active),
``OutsideAccounts`` (who somebody is at an OpenID provider), ``Emergencies`` (a role for some minutes).
``registry.identity`` signs people in and asks here whether more than a password is wanted.
"""
