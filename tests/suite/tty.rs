//! Terminals: `-t`, job control, window sizes, detaching.

use nix::sys::signal::Signal;
use rustix::termios::LocalModes;

use crate::support::harness::{Test, tests};
use crate::support::{Need, Sandbox, needs};

pub(crate) const TESTS: &[Test] = tests![
    a_shell_on_a_terminal,
    interrupt_reaches_the_foreground_job,
    jobs_can_be_stopped_and_resumed,
    the_window_size_follows,
    the_terminal_is_given_back_as_it_was,
    detaches_with_the_keys,
    detaches_with_other_keys,
    exec_has_a_terminal_of_its_own,
    a_terminal_without_a_terminal_is_an_error,
    without_i_the_keyboard_is_not_read,
    killing_the_command_leaves_the_container,
    debians_bash_runs,
];

fn a_shell_on_a_terminal() {
    let sandbox = Sandbox::new().busybox();
    let mut terminal = sandbox.command(["run", "--rm", "-it", "busybox", "sh"]).terminal();
    terminal.expect("# ");
    terminal.send("tty; stty size; echo $TERM\r").expect("/dev/pts/0").expect("24 80").expect("xterm");
    terminal.send("test -t 0 && test -t 1 && test -t 2 && echo all-t''hree\r").expect("all-three");
    terminal.send("exit 7\r");
    terminal.wait().code(7);
}

fn interrupt_reaches_the_foreground_job() {
    let sandbox = Sandbox::new().busybox();
    let mut terminal = sandbox.command(["run", "--rm", "-it", "busybox", "sh"]).terminal();
    terminal.expect("# ").send("sleep 1000\r").expect("sleep 1000");
    std::thread::sleep(std::time::Duration::from_millis(300));
    terminal.send("\x03").expect("# ");
    // Until the prompt is there, the terminal may be in a mode in which Ctrl-D is lost.
    terminal.send("echo code $?\r").expect("code 130").expect("# ");
    // Ctrl-D ends the shell.
    terminal.send("\x04");
    terminal.wait().success();
}

fn jobs_can_be_stopped_and_resumed() {
    let sandbox = Sandbox::new().busybox();
    let mut terminal = sandbox.command(["run", "--rm", "-it", "busybox", "sh"]).terminal();
    terminal.expect("# ").send("sleep 1000\r").expect("sleep 1000");
    std::thread::sleep(std::time::Duration::from_millis(300));
    terminal.send("\x1a").expect("Stopped").expect("# ");
    terminal.send("jobs\r").expect("Stopped").expect("sleep 1000");
    terminal.send("kill %1; exit\r");
    terminal.send("exit\r");
    assert!(terminal.wait().code.is_some());
}

fn the_window_size_follows() {
    let sandbox = Sandbox::new().busybox();
    let mut terminal = sandbox.command(["run", "--rm", "-it", "busybox", "sh"]).terminal();
    terminal.expect("# ").send("stty size\r").expect("24 80").expect("# ");
    terminal.resize(50, 133);
    terminal.send("\r").expect("# ");
    terminal.send("stty size\r").expect("50 133");
    terminal.send("exit\r");
    terminal.wait().success();
}

fn the_terminal_is_given_back_as_it_was() {
    let sandbox = Sandbox::new().busybox();
    let mut terminal = sandbox.command(["run", "--rm", "-it", "busybox", "sh"]).terminal();
    let cooked = LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG;
    terminal.expect("# ");
    assert!(!terminal.settings().local_modes.intersects(cooked), "raw while it runs");
    terminal.send("exit\r");
    crate::support::wait_until("the settings are back", || terminal.settings().local_modes.contains(cooked));
    terminal.wait().success();
}

fn detaches_with_the_keys() {
    let sandbox = Sandbox::new().busybox();
    let mut terminal = sandbox.command(["run", "-it", "--name", "cc", "busybox", "sh"]).terminal();
    terminal.expect("# ").send("echo be''fore\r").expect("before");
    terminal.send("\x10\x11");
    terminal.wait().success();
    assert_eq!(sandbox.status_of("cc"), "running");
    let mut terminal = sandbox.command(["attach", "cc"]).terminal();
    terminal.send("echo af''ter\r").expect("after");
    terminal.send("exit 3\r");
    terminal.wait().code(3);
    sandbox.run(["logs", "cc"]).success().stdout_contains("before").stdout_contains("after");
}

fn detaches_with_other_keys() {
    let sandbox = Sandbox::new().busybox();
    let mut terminal = sandbox
        .command(["run", "-it", "--name", "cc", "--detach-keys", "ctrl-a,x", "busybox", "sh"])
        .terminal();
    terminal.expect("# ").send("\x01y\r");
    terminal.send("echo still he''re\r").expect("still here").send("\x01x");
    terminal.wait().success();
    assert_eq!(sandbox.status_of("cc"), "running");
    sandbox
        .run(["run", "--rm", "-i", "--detach-keys", "ctrl-nosuch", "busybox", "true"])
        .code(125)
        .stderr_contains("invalid");
}

fn exec_has_a_terminal_of_its_own() {
    let sandbox = Sandbox::new().busybox();
    sandbox.run(["run", "-d", "--name", "cc", "busybox", "sleep", "1000"]).success();
    let mut terminal = sandbox.command(["exec", "-it", "cc", "sh"]).terminal();
    terminal.expect("# ").send("tty; stty size\r").expect("/dev/pts/").expect("24 80");
    terminal.resize(30, 99).send("\r").expect("# ").send("stty size\r").expect("30 99");
    terminal.send("exit 9\r");
    terminal.wait().code(9);
    assert_eq!(sandbox.status_of("cc"), "running");
}

fn a_terminal_without_a_terminal_is_an_error() {
    let sandbox = Sandbox::new().busybox();
    for words in [&["run", "--rm", "-it", "busybox", "true"][..], &["exec", "-it", "absent", "true"]] {
        let outcome = sandbox.run(words.iter().copied());
        assert!(outcome.code != Some(0), "{outcome}");
    }
    sandbox
        .run(["run", "--rm", "-it", "busybox", "true"])
        .code(1)
        .stderr_contains("the input device is not a TTY");
    // Without -i a terminal inside is fine; lines end as terminals end them.
    sandbox.run(["run", "--rm", "-t", "busybox", "echo", "x"]).stdout("x\r\n").success();
}

fn without_i_the_keyboard_is_not_read() {
    let sandbox = Sandbox::new().busybox();
    let mut terminal = sandbox.command(["run", "--rm", "busybox", "sleep", "1000"]).terminal();
    crate::support::wait_until("it runs", || sandbox.run(["ps", "-q"]).lines().len() == 1);
    // Ctrl-C is a signal to the command here, which passes it on; `sleep` as first process is deaf to it.
    terminal.send("\x03");
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(sandbox.run(["ps", "-q"]).lines().len(), 1);
    let id = sandbox.run(["ps", "-q"]).text();
    sandbox.run(["kill", &id]).success();
    terminal.wait().code(137);
}

fn killing_the_command_leaves_the_container() {
    let sandbox = Sandbox::new().busybox();
    let mut terminal = sandbox.command(["run", "-it", "--name", "cc", "busybox", "sh"]).terminal();
    terminal.expect("# ");
    terminal.signal(Signal::SIGKILL);
    assert_eq!(terminal.wait().code, None);
    assert_eq!(sandbox.status_of("cc"), "running");
    sandbox.run(["exec", "cc", "echo", "well"]).stdout("well\n").success();
}

fn debians_bash_runs() {
    needs(Need::Debian);
    needs(Need::Subids);
    let sandbox = Sandbox::new();
    let tar = std::fs::read(crate::support::debian::archive().unwrap()).unwrap();
    sandbox.command(["import", "-", "debian"]).stdin(tar).run().success();
    let mut terminal = sandbox.command(["run", "--rm", "-it", "debian", "bash"]).terminal();
    terminal.expect("# ").send("stty -a | head -n 1\r").expect("rows 24; columns 80");
    assert!(!terminal.screen().contains("no job control"), "{}", terminal.screen());
    terminal.expect("# ").send("sleep 1000\r").expect("sleep 1000");
    std::thread::sleep(std::time::Duration::from_millis(500));
    terminal.send("\x1a").expect("Stopped").expect("# ");
    terminal.send("bg; kill %1; wait; echo do''ne\r").expect("done");
    terminal
        .resize(40, 100)
        .send("\r")
        .expect("# ")
        .send("echo $LINES x $COLUMNS; stty size\r")
        .expect("40 100");
    terminal.send("exit\r");
    terminal.wait().success();
}
