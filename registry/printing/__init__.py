"""Paper: PDFs set by Typst from templates of ours, with no system library and no system font.

Cast: ``typeset`` (a template and data in, PDF or PNG out), ``*.typ`` (the templates). Data goes in as
JSON and is only ever text to a template, so nobody's title becomes markup. The fonts are Typst's own
(Libertinus Serif, DejaVu Sans Mono); both carry Ө and Ү.
"""
