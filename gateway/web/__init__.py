"""Pages for people: Jinja2 templates, our own small style sheet and script, Mongolian first.

Cast: ``overview`` gathers what the page shows from the database, ``words`` holds the catalogues and
formats dates and numbers, ``routes`` maps addresses to pages. Every page works without JavaScript;
the script only fetches the same fragment again when the live stream says that something changed.
"""
