"""Technical specifications (техникийн даалгавар): what a city asks for before anything is built.

Cast: ``models`` (tables), ``workflow`` (the literal table of its life), ``content`` (kinds, the
requirements a draft begins with, the hash of what was approved), ``service`` (draft, change, comment,
take a step), ``attachments`` (files), ``inbox`` (what waits for whom), ``document`` (the PDF).

One specification's journey: a draft with a number of its year and the kind's usual requirements →
edited, files attached → submitted → somebody else takes it into review → returned with a reason, or
rejected, or approved by somebody who never touched its content. From then on nothing in it changes;
its printed document has a code under which anybody can see that it is genuine. What is to change is a
new draft that names the old one, and takes its place when it is approved.
"""
