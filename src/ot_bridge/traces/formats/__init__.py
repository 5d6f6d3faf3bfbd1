"""Wire and file formats: bytes or JSON of each become OTLP's `ResourceSpans`. Pure: no socket, no file."""
