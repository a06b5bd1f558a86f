"""Create the development environment: `python3 -I deploy/local/set_up .venv`. Every make target runs this first.

Uses the standard library only: nothing else is installed yet. torch is installed first, because only torch has builds
that do not fit. The other packages are the pinned ones, without their dependencies: see deploy/constraints.txt.
"""
