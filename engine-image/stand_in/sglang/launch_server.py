"""``python3 -m sglang.launch_server`` of the simulated image: hands over to the simulator."""

import sys

from simulated_engine.__main__ import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
