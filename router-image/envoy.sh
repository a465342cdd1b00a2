#!/bin/sh
# Starts Envoy as soon as the agent has written a policy: Envoy does not start without its files, of which lds.json is the last.
# ETC and POLICY are other directories in tests.
set -eu
trap 'exit 0' TERM INT
etc=${ETC:-/etc/heterollm}
until [ -e "${POLICY:-/policy}/lds.json" ]; do sleep 0.1; done
# Two workers whatever the node's size; running streams outlive a changed listener by an hour; while draining, every answer
# asks its client to connect elsewhere. No hot restart: it wants shared memory, and the pod is replaced as a whole.
# "misc" would complain of every answer whose client left, because it has no duration to count.
# Of the memory it may use (bytes), a fifth is left for what is not heap; when its heap nears the rest, it refuses requests
# instead of being killed.
heap=$((MEMORY_LIMIT / 5 * 4))
memory=$(sed "s/\"max_heap_size_bytes\": 0/\"max_heap_size_bytes\": $heap/" "$etc/memory.json")
exec envoy -c "$etc/envoy.json" --config-yaml "$memory" --concurrency 2 --disable-hot-restart --drain-time-s 3600 \
  --drain-strategy immediate --log-level warning --component-log-level misc:critical
