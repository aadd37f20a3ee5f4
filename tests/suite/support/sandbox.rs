//! A user's world for one test: own home, own store, and nothing left of it afterwards.
//!
//! ```text
//! Sandbox::new()
//!     .image("probe", |layer| layer.file("/hello", "hi\n"))
//!     .run(["run", "--rm", "probe", "cat", "/hello"])
//!     .stdout("hi\n")
//!     .success();
//! ```
//!
//! When it is dropped, what the test left is removed by `coracle rm -f`, and then no process may be left that
//! has to do with the sandbox, nothing may be mounted in the host's namespace, and the directory goes.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::host::{User, is_root, user};
use super::image::Image;
use super::layer::Layer;
use super::outcome::Outcome;
use super::process::{self, Process};
use super::terminal::{Running, Terminal};

const PATH: &str = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin";

/// A hermetic home for the program under test.
#[derive(Debug)]
pub(crate) struct Sandbox {
    dir: PathBuf,
    user: User,
    before: Vec<String>,
    /// A process in whose network namespace the commands run.
    netns: Option<u32>,
    /// Whether there are packet rules, and if not, tap devices.
    packet_rules: PacketRules,
}

/// What the kernel has for packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PacketRules {
    /// nf_tables.
    Here,
    /// Tap devices.
    Tap,
    /// Nothing.
    Nothing,
}

impl Sandbox {
    /// A sandbox of the unprivileged user.
    pub(crate) fn new() -> Self {
        Self::of(user())
    }

    /// A sandbox of another user.
    pub(crate) fn of(user: &User) -> Self {
        // Unix socket paths end at 108 bytes, so the name is short.
        let dir = tempfile::Builder::new().prefix("cs-").rand_bytes(6).tempdir().unwrap().keep();
        for below in ["", "home", "data", "run", "config", "tmp", "work"] {
            let path = dir.join(below);
            fs::create_dir_all(&path).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
            if is_root() {
                chown(&path, Some(user.uid), Some(user.gid)).unwrap();
            }
        }
        Self { dir, user: user.clone(), before: Vec::new(), netns: None, packet_rules: PacketRules::Here }
    }

    /// A sandbox of root's.
    pub(crate) fn of_root() -> Self {
        Self::of(&User { name: "root".to_owned(), uid: 0, gid: 0 })
    }

    /// Has another program call all commands from now on.
    pub(crate) fn through(mut self, words: &[&str]) -> Self {
        self.before = words.iter().map(ToString::to_string).collect();
        self
    }

    /// Has all commands from now on run in the network namespace of a process. Needs root.
    pub(crate) fn within(mut self, pid: u32) -> Self {
        self.netns = Some(pid);
        self
    }

    /// Has the kernel refuse packet rules to all commands from now on. Needs root.
    pub(crate) fn without_packet_rules(mut self, instead: PacketRules) -> Self {
        super::host::needs(super::host::Need::Root);
        self.packet_rules = instead;
        self
    }

    /// Adds an image of busybox and one more layer.
    #[track_caller]
    pub(crate) fn image(self, name: &str, layer: impl FnOnce(Layer) -> Layer) -> Self {
        let layer = layer(Layer::new());
        self.with(name, &Image::busybox().layer(&layer))
    }

    /// Adds an image.
    #[track_caller]
    pub(crate) fn with(self, name: &str, image: &Image) -> Self {
        self.command(["load", "-q"]).stdin(image.docker_archive(&format!("{name}:latest"))).run().success();
        self
    }

    /// Adds an image of busybox alone.
    #[track_caller]
    pub(crate) fn busybox(self) -> Self {
        self.with("busybox", &Image::busybox())
    }

    /// Runs `coracle` with these arguments to its end.
    #[track_caller]
    pub(crate) fn run<A: AsRef<str>>(&self, arguments: impl IntoIterator<Item = A>) -> Outcome {
        self.command(arguments).run()
    }

    /// Prepares a call of `coracle` with these arguments.
    pub(crate) fn command<A: AsRef<str>>(&self, arguments: impl IntoIterator<Item = A>) -> Invocation<'_> {
        Invocation {
            sandbox: self,
            program: programs().join("coracle"),
            arguments: arguments.into_iter().map(|argument| argument.as_ref().to_owned()).collect(),
            environment: Vec::new(),
            stdin: Vec::new(),
            keep_stdin: false,
            timeout: Duration::from_secs(120),
            small_disk: None,
            before: self.before.clone(),
            shell: false,
        }
    }

    /// Returns the directory of everything in this sandbox.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Returns the directory in which the commands run.
    pub(crate) fn work(&self) -> PathBuf {
        self.dir.join("work")
    }

    /// Returns the store's directory.
    pub(crate) fn store(&self) -> PathBuf {
        self.dir.join("data/coracle")
    }

    /// Writes a file of the user's into the working directory and returns its path.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.work().join(name);
        fs::write(&path, content).unwrap();
        self.give(&path);
        path.to_str().unwrap().to_owned()
    }

    /// Makes a directory of the user's in the working directory and returns its path.
    pub(crate) fn directory(&self, name: &str) -> String {
        let path = self.work().join(name);
        fs::create_dir(&path).unwrap();
        self.give(&path);
        path.to_str().unwrap().to_owned()
    }

    fn give(&self, path: &Path) {
        if is_root() {
            chown(path, Some(self.user.uid), Some(self.user.gid)).unwrap();
        }
    }

    /// Returns the pid of a container's process.
    #[track_caller]
    pub(crate) fn pid_of(&self, container: &str) -> i32 {
        let outcome = self.run(["inspect", "-f", "{{.State.Pid}}", container]);
        outcome.success().text().parse().unwrap()
    }

    /// Returns a container's status word.
    #[track_caller]
    pub(crate) fn status_of(&self, container: &str) -> String {
        self.run(["inspect", "-f", "{{.State.Status}}", container]).success().text()
    }

    /// Waits until a container has this status.
    #[track_caller]
    pub(crate) fn wait_for_status(&self, container: &str, status: &str) {
        super::wait_until(&format!("{container} becomes {status}"), || self.status_of(container) == status);
    }

    /// Waits until a container has written `text`.
    #[track_caller]
    pub(crate) fn wait_for_log(&self, container: &str, text: &str) {
        super::wait_until(&format!("{container} writes {text:?}"), || {
            self.run(["logs", container]).text().contains(text)
        });
    }

    /// Returns the supervisors of this sandbox's containers.
    pub(crate) fn supervisors(&self) -> Vec<Process> {
        self.processes().into_iter().filter(|process| process.command.contains("__supervise")).collect()
    }

    /// Returns all processes that have to do with this sandbox.
    pub(crate) fn processes(&self) -> Vec<Process> {
        process::related(&self.dir)
    }

    /// Claims that no process of this sandbox is left, after a moment for the last ones to go.
    #[track_caller]
    pub(crate) fn expect_no_process(&self) {
        for _ in 0..500 {
            if self.processes().is_empty() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("processes that stayed behind: {:#?}", self.processes());
    }

    /// Claims that nothing of this sandbox is mounted where the host can see it.
    #[track_caller]
    pub(crate) fn expect_no_mount(&self) {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let ours: Vec<_> = mounts.lines().filter(|line| line.contains(self.dir.to_str().unwrap())).collect();
        assert!(ours.is_empty(), "mounts that stayed behind: {ours:#?}");
    }

    fn remove_dir(&self) {
        if fs::remove_dir_all(&self.dir).is_err() {
            // Files of subordinate ids: only inside their mapping can the user remove them.
            let _ = Command::new("unshare")
                .args(["--user", "--map-auto", "--map-root-user", "rm", "-rf"])
                .arg(&self.dir)
                .stdin(Stdio::null())
                .status();
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for _ in 0..3 {
                for process in self.processes() {
                    let owner = process::status_field(process.pid, "Uid").unwrap_or_default();
                    if self.user.uid == 0 || !owner.starts_with("0\t") {
                        process.kill(Signal::SIGKILL);
                    }
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            if std::env::var_os("CORACLE_TEST_KEEP").is_none() {
                self.remove_dir();
            }
            return;
        }
        let containers = self.run(["ps", "-aq"]).success().lines();
        if !containers.is_empty() {
            let mut arguments = vec!["rm".to_owned(), "-f".to_owned()];
            arguments.extend(containers);
            self.run(arguments).success();
        }
        self.expect_no_process();
        self.expect_no_mount();
        self.remove_dir();
        assert!(!self.dir.exists(), "{} cannot be removed", self.dir.display());
    }
}

/// One call of the program under test, not yet made.
#[derive(Debug)]
pub(crate) struct Invocation<'a> {
    sandbox: &'a Sandbox,
    program: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    stdin: Vec<u8>,
    keep_stdin: bool,
    timeout: Duration,
    small_disk: Option<u64>,
    before: Vec<String>,
    shell: bool,
}

impl Invocation<'_> {
    /// Feeds standard input, and then ends it.
    pub(crate) fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    /// Leaves standard input open for the test to write to.
    pub(crate) fn keep_stdin(mut self) -> Self {
        self.keep_stdin = true;
        self
    }

    /// Sets a variable of the command's environment.
    pub(crate) fn env(mut self, key: &str, value: &str) -> Self {
        self.environment.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Calls the program through a link of this name.
    pub(crate) fn called(mut self, name: &str) -> Self {
        self.program = programs().join(name);
        self
    }

    /// Calls another copy of the program.
    pub(crate) fn program(mut self, path: &str) -> Self {
        self.program = path.into();
        self
    }

    /// Takes the one argument for a script of the shell, which runs in the sandbox's directory with the program as
    /// its `$0`.
    pub(crate) fn shell(mut self) -> Self {
        self.shell = true;
        self
    }

    /// Has another program call it.
    pub(crate) fn through(mut self, words: &[&str]) -> Self {
        self.before = words.iter().map(ToString::to_string).collect();
        self
    }

    /// Puts the store on a file system of `bytes`. Needs root; the store must be empty.
    pub(crate) fn small_disk(mut self, bytes: u64) -> Self {
        self.small_disk = Some(bytes);
        self
    }

    /// Runs it to its end.
    #[track_caller]
    pub(crate) fn run(self) -> Outcome {
        self.spawn().wait()
    }

    /// Starts it with pipes.
    pub(crate) fn spawn(self) -> Running {
        let mut command = self.build(&[]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut running = Running::start(command, self.line(), self.timeout);
        if !self.keep_stdin {
            running.feed(self.stdin);
        }
        running
    }

    /// Starts it on a terminal of its own.
    pub(crate) fn terminal(self) -> Terminal {
        let probe = programs().join("probe");
        let command = self.build(&[probe.to_str().unwrap(), "on-terminal"]);
        Terminal::start(command, self.line(), self.timeout)
    }

    fn line(&self) -> String {
        format!("{} {}", self.program.file_name().unwrap().display(), self.arguments.join(" "))
    }

    fn build(&self, before: &[&str]) -> Command {
        let sandbox = self.sandbox;
        let mut words: Vec<String> = before.iter().map(ToString::to_string).collect();
        let is_wrapped = sandbox.netns.is_some() || sandbox.packet_rules != PacketRules::Here;
        if sandbox.packet_rules != PacketRules::Here {
            let tap = if sandbox.packet_rules == PacketRules::Tap { "tap" } else { "none" };
            let probe = programs().join("probe").to_str().unwrap().to_owned();
            words.extend([probe, "without-packet-rules".to_owned(), tap.to_owned()]);
        }
        if let Some(pid) = sandbox.netns {
            words.extend(format!("nsenter -t {pid} -n").split(' ').map(str::to_owned));
        }
        if is_wrapped {
            let user = &sandbox.user;
            let become_user = format!("setpriv --reuid {} --regid {} --init-groups", user.uid, user.gid);
            words.extend(become_user.split(' ').map(str::to_owned));
        }
        words.extend(self.before.iter().cloned());
        if let Some(size) = self.small_disk {
            let data = sandbox.dir.join("data").to_str().unwrap().to_owned();
            let user = &sandbox.user;
            words.push(programs().join("probe").to_str().unwrap().to_owned());
            words.extend([
                "on-small-disk".to_owned(),
                data,
                size.to_string(),
                user.uid.to_string(),
                user.gid.to_string(),
            ]);
        }
        let program = self.program.to_str().unwrap().to_owned();
        if self.shell {
            words.extend(["sh".to_owned(), "-c".to_owned(), self.arguments[0].clone(), program]);
        } else {
            words.push(program);
            words.extend(self.arguments.iter().cloned());
        }
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).env_clear();
        command.current_dir(if self.shell { sandbox.dir.clone() } else { sandbox.work() });
        command.env("PATH", PATH).env("USER", &sandbox.user.name).env("LANG", "C.UTF-8");
        command.env("TERM", "xterm").env("HOME", sandbox.dir.join("home"));
        command.env("XDG_DATA_HOME", sandbox.dir.join("data"));
        command.env("XDG_CONFIG_HOME", sandbox.dir.join("config"));
        command.env("XDG_RUNTIME_DIR", sandbox.dir.join("run"));
        command.env("TMPDIR", sandbox.dir.join("tmp"));
        command.envs(self.environment.iter().map(|(key, value)| (key, value)));
        if is_root() && self.small_disk.is_none() && !is_wrapped {
            command.uid(sandbox.user.uid).gid(sandbox.user.gid);
        }
        command
    }
}

/// Returns the directory of what the user runs: `coracle`, a link to it called `docker` and one called `docker-compose`, and this program itself
/// as `probe`. They are copies, because the build directory may be closed to that user.
pub(crate) fn programs() -> &'static Path {
    static PROGRAMS: OnceLock<PathBuf> = OnceLock::new();
    PROGRAMS.get_or_init(|| {
        let dir = std::env::temp_dir().join(format!("coracle-suite-{}", std::process::id()));
        fs::create_dir(&dir).unwrap();
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
        let built =
            std::env::var("CORACLE_TEST_BIN").unwrap_or_else(|_| env!("CARGO_BIN_EXE_coracle").to_owned());
        fs::copy(built, dir.join("coracle")).unwrap();
        fs::copy("/proc/self/exe", dir.join("probe")).unwrap();
        for name in ["coracle", "probe"] {
            // Symbols double the size, and every start of a container copies the program once.
            let _ = Command::new("strip").arg(dir.join(name)).stderr(Stdio::null()).status();
            fs::set_permissions(dir.join(name), fs::Permissions::from_mode(0o755)).unwrap();
        }
        for name in ["docker", "docker-compose"] {
            symlink("coracle", dir.join(name)).unwrap();
        }
        dir
    })
}

/// Removes what [`programs`] made.
pub(crate) fn remove_programs() {
    let dir = std::env::temp_dir().join(format!("coracle-suite-{}", std::process::id()));
    let _ = fs::remove_dir_all(dir);
}
