#!/bin/sh
# Starts Envoy as soon as the agent has written a policy: Envoy does not start without its files, of which lds.json is the last.
set -eu
trap 'exit 0' TERM INT
until [ -e /policy/lds.json ]; do sleep 0.1; done
# Two workers whatever the node's size; running streams outlive a changed listener by an hour; while draining, every answer
# asks its client to connect elsewhere. No hot restart: it wants shared memory, and the pod is replaced as a whole.
# "misc" would complain of every answer whose client left, because it has no duration to count.
exec envoy -c /etc/heterollm/envoy.json --concurrency 2 --disable-hot-restart --drain-time-s 3600 --drain-strategy immediate \
  --log-level warning --component-log-level misc:critical
