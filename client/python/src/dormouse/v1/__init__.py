"""The wire: generated from proto/dormouse/v1 by generate.py, never edited."""
