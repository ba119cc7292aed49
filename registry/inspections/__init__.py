"""Inspections (хяналт шалгалт) and findings (зөрчил).

Cast: ``models`` (tables), ``workflow`` (a finding's life as a table), ``service`` (hold an inspection,
note findings, fix, verify), ``suggest`` (what the register itself finds wrong with cameras).

One finding's journey: seen at an inspection, or suggested by a rule and accepted by a person → it has a
severity and a day by which it is to be right → whoever mends it submits the fix → another person looks
and verifies it, or opens it again and says why.
"""
