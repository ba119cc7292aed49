"""Finding what is registered: by any spelling of its texts, in alphabetical order, inside an area.

Cast: ``text`` (how a text is folded for search and keyed for sorting; pure), ``words`` (the table of
words that a typed beginning is looked up in, filled whenever a ``Searchable`` record is flushed),
``find`` (a question in, records out), ``views`` (a person's saved lists).

A question's journey: typed text → folded words → each word's beginnings in the table → where a word
begins nothing, the nearest words by spelling → records that have all words → inside the asker's reach.
"""
