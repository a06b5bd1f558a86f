"""Makes the development environment: `python3 -I deploy/local/set_up .venv`, run by each make target first.

Needs the standard library only, since nothing else is installed yet. torch comes first, because it alone has builds
that do not fit. The other packages are the pinned versions and nothing they declare: deploy/constraints.txt says why.
"""
