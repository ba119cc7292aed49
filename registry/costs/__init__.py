"""What links cost: a monthly amount from a day to a day, and reports per organisation.

Cast: ``models`` (the table), ``report`` (pure: amounts of months, sums; CSV). A link is named by a
text: a fibre service's id, or a line of a contract.
"""
