"""Preference text -> preference files.

The way of a row: `input_files` reads it in chunks, a worker of `worker_pool` checks it (`rows`), parts it into prompt
and responses (`prompts`), renders chat (`chat`), makes ids (`model_text`, `encoding`), applies the length policy
(`length_policy`); back in the first process `preference_file` appends it. `tokenize` joins these.
"""
