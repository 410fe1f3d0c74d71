"""What bench-recovery and soak-recovery share: a folder with tokens, processes and /dev/shm of their own (as tests/mpi/common.sh
has them), runs under mpirun or `muster launch`, and what they leave to be compared.

Nothing here measures by itself; times of recoveries are written down by the ranks, on the board of their host."""

import ctypes
import glob
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.environ.get("MUSTER_BUILD") or os.path.join(os.path.dirname(os.path.dirname(HERE)), "build")
BOARD = os.path.join(BUILD, "tests", "bench", "bench-recovery-board")


def alone():
    """Begins again in namespaces of its own, where the kernel lets it: what is left over afterwards is then ours, and ends
    with us."""
    if os.environ.get("MUSTER_TEST_ALONE"):
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the first process of a namespace would not hear it
        return
    user = [] if os.geteuid() == 0 else ["--map-root-user"]
    spaces = ["unshare", *user, "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    mount = "mount -t tmpfs tmpfs /dev/shm"
    if subprocess.run([*spaces, "sh", "-c", mount], capture_output=True, check=False).returncode != 0:
        os.environ["MUSTER_TEST_ALONE"] = "0"
        return
    os.environ["MUSTER_TEST_ALONE"] = "1"
    os.execvp(spaces[0], [*spaces, "sh", "-c", mount + ' && exec "$0" "$@"', sys.executable, *sys.argv])


def settings_of_build():
    """Variables that build/env sets."""
    env = subprocess.run(["bash", "-c", f". {BUILD}/env && env -0"], capture_output=True, check=True).stdout
    for item in env.split(b"\0"):
        name, _, value = item.decode().partition("=")
        if name:
            os.environ[name] = value
    for name in list(os.environ):
        if name.startswith(("MUSTER_RUN", "MUSTER_FAULT", "MUSTER_HOSTS", "MUSTER_PROGRESS")):
            del os.environ[name]
    # Ranks share cores with other processes: bound ones would share the same.
    os.environ["PRTE_MCA_hwloc_default_binding_policy"] = "none"
    os.environ["MUSTER_LOG"] = "debug"


class Scratch:
    """A folder to be in, with tokens of a text by a formula; gone at the end."""

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="muster.", dir="/tmp", ignore_cleanup_errors=True)
        os.chdir(self.folder.name)
        os.mkdir("tmp")
        os.environ["TMPDIR"] = os.path.join(self.folder.name, "tmp")
        draw = random.Random(1)
        words = ["".join(draw.choice("etaoinshrdlu") for _ in range(draw.randint(2, 8))) for _ in range(500)]
        with open("text.txt", "w", encoding="ascii") as text:
            text.write(" ".join(draw.choice(words) for _ in range(40000)))
        subprocess.run(["muster", "tokenize", "text.txt", "--out", "data"], check=True, capture_output=True)
        return self

    def __exit__(self, *_):
        os.chdir("/")
        self.folder.cleanup()


def write_config(path, text):
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def leave_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


class Run:
    """A command in the background, with what it says in a file."""

    def __init__(self, name, words, env=None):
        self.name, self.log = name, f"{name}.log"
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                words, stdout=log, stderr=log, env={**os.environ, **(env or {})}, preexec_fn=leave_with_parent
            )

    def lives(self):
        return self.process.poll() is None

    def wait(self, limit_s):
        """Its exit code; None: it did not end."""
        try:
            return self.process.wait(limit_s)
        except subprocess.TimeoutExpired:
            return None

    def kill(self):
        self.process.kill()
        self.process.wait()

    def kill_all(self):
        """With its ranks, and what they held in /dev/shm: the kernel takes its time over 3 GB of a killed process."""
        self.kill()
        until(lambda: not living(), 20, "ranks end with mpirun")
        if os.environ["MUSTER_TEST_ALONE"] != "1":
            return
        for left in os.listdir("/dev/shm"):
            os.unlink(os.path.join("/dev/shm", left))
        until(shm_is_free, 60, "/dev/shm is free again")

    def said(self, expression=None):
        with open(self.log, encoding="utf-8", errors="replace") as log:
            text = log.read()
        return text if expression is None else re.findall(expression, text)

    def steps(self):
        return records(self.name)

    def status(self):
        with open(f"runs/{self.name}/status.json", encoding="utf-8") as file:
            return json.load(file)


def records(name):
    """step -> (loss, hash), of a run's metrics. A step that stands there twice with different values is a failure."""
    out = {}
    try:
        with open(f"runs/{name}/metrics.jsonl", encoding="utf-8") as file:
            for line in file:
                if not line.endswith("\n"):
                    break
                record = json.loads(line)
                value = (record["loss"], record.get("state_hash"))
                if out.setdefault(record["step"], value) != value:
                    raise Failure(f"{name}: step {record['step']} stands in metrics.jsonl with two results")
    except FileNotFoundError:
        pass
    return out


class Failure(Exception):
    """Something that must never be: another hash, a hang."""


def same(run, reference):
    """Every recorded step of the run is the reference's, and none is missing."""
    got, want = records(run), records(reference)
    for step in range(1, max(got, default=0) + 1):
        if got.get(step) != want.get(step):
            raise Failure(f"{run}: step {step} is {got.get(step)}; in the undisturbed run {want.get(step)}")
    return max(got, default=0)


def until(true, limit_s, what):
    end = time.monotonic() + limit_s
    while not true():
        if time.monotonic() > end:
            raise Failure(f"this did not come true in {limit_s} s: {what}")
        time.sleep(0.005)


def children(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            return [int(p) for p in file.read().split()]
    except OSError:
        return []


def program(pid):
    """What it executes; None: it is gone, or a zombie."""
    try:
        return os.path.basename(os.readlink(f"/proc/{pid}/exe"))
    except OSError:
        return None


def shm_is_free():
    shm = os.statvfs("/dev/shm")
    return (shm.f_blocks - shm.f_bfree) * shm.f_frsize < 1 << 20


def boards():
    return glob.glob(f"/dev/shm/muster-{os.geteuid()}-*.board")


def living():
    """rank -> [pid, epoch, polls, beats, phase] of this machine's ranks."""
    out = {}
    for board in boards():
        shown = subprocess.run([BOARD, board, "show"], capture_output=True, text=True, check=False).stdout
        for line in shown.splitlines():
            rank, pid, epoch, polls, beats, phase = line.split(maxsplit=5)
            out[int(rank)] = [int(pid), int(epoch), int(polls), int(beats), phase]
    return out


def kill_ranks(ranks):
    """(survivors, the killed gone, first in repair, last in repair, last at work again: ms after the kill); None: there was nobody to kill."""
    words = [BOARD, *boards()[:1], "kill", *map(str, ranks)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode == 2:
        return None
    if done.returncode != 0:
        raise Failure(f"killed ranks {ranks}: the others are not back at work after 20 s ({done.stdout.strip()})")
    survivors, *times = done.stdout.split()
    return int(survivors), *map(float, times)


def quantile(values, q):
    """The nearest rank's."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * q // 100) - 1)] if ordered else float("nan")


def load():
    with open("/proc/loadavg", encoding="ascii") as file:
        return float(file.read().split()[0])
