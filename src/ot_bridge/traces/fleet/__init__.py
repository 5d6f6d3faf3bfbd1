"""What many traces tell together: each question a pure function of traces or of entries (seeing.md 1.8 to 1.10)."""
