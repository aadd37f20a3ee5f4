/* What the kernel alone needs: one clone with every namespace, one id map, an overlay, /proc, pivot_root, exec, wait.
 * Usage: floor ROOTFS SCRATCH PROGRAM [ARGUMENT...], as an unprivileged user. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void check(int failed, const char *what) {
    if (failed) {
        perror(what);
        _exit(125);
    }
}

static void put(const char *path, const char *text) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    check(fd < 0 || write(fd, text, strlen(text)) < 0, path);
    close(fd);
}

int main(int argc, char **argv) {
    if (argc < 4) return 2;
    char map[64], options[4096], root[1024];
    int uid = getuid(), gid = getgid();
    long pid = syscall(SYS_clone, CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS |
                       CLONE_NEWNET | CLONE_NEWCGROUP | SIGCHLD, 0, 0, 0, 0);
    check(pid < 0, "clone");
    if (pid > 0) {
        int status;
        check(waitpid(pid, &status, 0) < 0, "wait");
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
    put("/proc/self/setgroups", "deny");
    snprintf(map, sizeof map, "0 %d 1", uid);
    put("/proc/self/uid_map", map);
    snprintf(map, sizeof map, "0 %d 1", gid);
    put("/proc/self/gid_map", map);
    snprintf(root, sizeof root, "%s/merged", argv[2]);
    snprintf(options, sizeof options, "lowerdir=%s,upperdir=%s/upper,workdir=%s/work,userxattr", argv[1], argv[2], argv[2]);
    check(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), "private");
    check(mount("overlay", root, "overlay", 0, options), "overlay");
    check(chdir(root), root);
    check(mount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL), "proc");
    check(syscall(SYS_pivot_root, ".", "."), "pivot_root");
    check(umount2(".", MNT_DETACH), "umount");
    execvp(argv[3], argv + 3);
    check(1, argv[3]);
}
