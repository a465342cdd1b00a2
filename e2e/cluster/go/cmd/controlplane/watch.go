package main

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// stopWithProcess calls stop once the process has ended. A process descriptor follows the process itself, where the kernel's
// parent-death signal follows the thread that started the child, and a test runner's threads come and go.
func stopWithProcess(pid int, stop func()) error {
	descriptor, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return fmt.Errorf("watch process %d: %w", pid, err)
	}
	go func() {
		events := []unix.PollFd{{Fd: int32(descriptor), Events: unix.POLLIN}}
		for {
			if _, err := unix.Poll(events, -1); !errors.Is(err, unix.EINTR) {
				stop()
				return
			}
		}
	}()
	return nil
}
