"""A clock that jumps, for the processes that are told so: a shim before the C library, compiled here."""

import shutil
import struct
import subprocess
from collections.abc import Mapping
from pathlib import Path

SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const long *ahead;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("CHAOS_CLOCK");
    int file = path ? open(path, O_RDONLY) : -1;
    if (file < 0) return;
    void *seen = mmap(0, sizeof *ahead, PROT_READ, MAP_SHARED, file, 0);
    if (seen != MAP_FAILED) ahead = seen;
    close(file);
}

int clock_gettime(clockid_t which, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int code = real(which, now);
    if (!code && ahead && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE)) now->tv_sec += *ahead;
    return code;
}

time_t time(time_t *out) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out) *out = now.tv_sec;
    return now.tv_sec;
}

int gettimeofday(struct timeval *out, void *zone) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    out->tv_sec = now.tv_sec;
    out->tv_usec = now.tv_nsec / 1000;
    return 0;
}
"""


DAY = 86_400  # seconds


class Clock:
    """The clock of some processes and of all that they start."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._offset, self._shim = folder / "ahead", folder / "clock.so"
        self.set_ahead(0)
        source = folder / "clock.c"
        source.write_text(SOURCE)
        command = ["cc", "-shared", "-fPIC", "-O1", "-o", str(self._shim), str(source), "-ldl"]
        subprocess.run(command, check=True)

    @staticmethod
    def can_be_had() -> bool:
        """Whether there is a C compiler."""
        return shutil.which("cc") is not None

    @property
    def variables(self) -> Mapping[str, str]:
        """What a process needs in its environment."""
        return {"LD_PRELOAD": str(self._shim), "CHAOS_CLOCK": str(self._offset)}

    def set_ahead(self, seconds: int) -> None:
        """Let the clock jump: from now on it is so many seconds ahead of the true one, or behind."""
        with self._offset.open("r+b" if self._offset.exists() else "xb") as file:
            file.write(struct.pack("@l", seconds))
