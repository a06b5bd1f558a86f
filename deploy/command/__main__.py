"""The console script `headrace`. Exit status: 0 all done, 1 something failed, 2 usage, 130 interrupted."""

import sys

from shared.environment import take_environment


def main() -> int:
    """Run the command with the arguments and the environment of this process. Return the exit status."""
    try:
        from deploy.command.dispatch import run
    except ModuleNotFoundError as error:
        print(f"headrace: {error.name} is not installed: pip install 'headrace[command]'", file=sys.stderr)
        return 1
    return run(sys.argv[1:], take_environment())


if __name__ == "__main__":
    sys.exit(main())
