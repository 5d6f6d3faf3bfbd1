"""One trace in the terminal, as JSON, and as one HTML file to attach to a ticket."""
