"""Broken inputs and settings, generated from a seed, and what they must do.

Each case spoils something that a command is given and says what may follow: a
refusal in one line, or an answer; never a traceback, a hang, a lost file.
`python -m tests.monkey --help` runs cases without pytest.
"""
