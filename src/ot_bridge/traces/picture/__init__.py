"""What the page and the self-contained file draw alike: colours, lines of a waterfall, strips, templates. Pure."""
