"""Asks other backends for a trace by their query APIs."""
