"""The demo's own steps: human ratings of movie-review snippets -> preference text; models -> samples, verdict, picture.

launch/demo runs them in order, with Collimate's own commands in between.
"""
