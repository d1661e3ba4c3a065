"""The web service under load: `python -m tests.load --minutes 30 --out FOLDER`, by hand; needs a quiet machine."""
