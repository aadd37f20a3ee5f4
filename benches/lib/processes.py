"""What came out of a command: processes below this one, their memory and their CPU time; and a home for a program."""
import os, resource

PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"


def children():
    return {int(p) for p in open(f"/proc/self/task/{os.getpid()}/children").read().split()}


def tree():
    """All processes below this one."""
    parents = {}
    for p in filter(str.isdigit, os.listdir("/proc")):
        try:
            parents[int(p)] = int(open(f"/proc/{p}/stat").read().rsplit(")", 1)[1].split()[1])
        except OSError:
            pass
    found, size = {os.getpid()}, 0
    while size != len(found):
        size = len(found)
        found |= {p for p, parent in parents.items() if parent in found}
    return found - {os.getpid()}


def memory(pid, field):
    try:
        return next(int(l.split()[1]) for l in open(f"/proc/{pid}/smaps_rollup") if l.startswith(field)) / 1024
    except (OSError, StopIteration):
        return 0.0


def comm(pid):
    try:
        return open(f"/proc/{pid}/comm").read().strip()
    except OSError:
        return ""


def reap():
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def used():
    """CPU time in s of the processes that have ended and been reaped."""
    u = resource.getrusage(resource.RUSAGE_CHILDREN)
    return u.ru_utime + u.ru_stime


def running():
    """CPU time in s of the processes below this one that still run."""
    total = 0
    for p in tree():
        try:
            for t in os.listdir(f"/proc/{p}/task"):
                total += int(open(f"/proc/{p}/task/{t}/schedstat").read().split()[0])
        except (OSError, ValueError):
            pass
    return total / 1e9


def settle_in(home, registries=()):
    """Makes a home with what podman reads in it, and returns the environment in which programs live there."""
    for d in ("h/.config/containers", "r", "w"):
        os.makedirs(f"{home}/{d}", mode=0o700, exist_ok=True)
    d = home + "/h/.config/containers/"
    for file, text in (
        ("storage.conf", '[storage]\ndriver = "overlay"\n'),
        ("policy.json", '{"default":[{"type":"insecureAcceptAnything"}]}\n'),
        ("containers.conf", '[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n'
         '[containers]\ncgroups = "disabled"\n'),
        ("registries.conf", "".join(f'[[registry]]\nlocation = "{a}"\ninsecure = true\n' for a in registries)),
    ):
        open(d + file, "w").write(text)
    return dict(HOME=home + "/h", XDG_RUNTIME_DIR=home + "/r", TMPDIR=home + "/w", PATH=PATH, LANG="C.UTF-8")
