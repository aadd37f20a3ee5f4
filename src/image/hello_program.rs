//! The one file of the `hello-world` image that every coracle carries: `src/guest/hello.rs`, compiled.

/// A static executable of this machine's architecture.
pub const HELLO: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/hello"));

#[cfg(test)]
mod tests {
    use super::HELLO;
    use std::fs::File;
    use std::io::Write as _;
    use std::os::fd::AsRawFd as _;
    use std::process::Command;

    #[test]
    fn it_greets_and_reports_what_it_finds() {
        let memfd = rustix::fs::memfd_create("hello", rustix::fs::MemfdFlags::empty()).unwrap();
        let mut file = File::from(memfd);
        file.write_all(HELLO).unwrap();
        let output = Command::new(format!("/proc/self/fd/{}", file.as_raw_fd())).output().unwrap();
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.starts_with(
            "\nHello from coracle!\n\
             This message shows that your installation appears to be working correctly.\n"
        ));
        let own = std::fs::read_to_string("/proc/self/uid_map").unwrap();
        let ids = own.split_whitespace().next_back().unwrap();
        assert!(text.contains(&format!("{ids} id")), "{text}");
        let namespace = std::fs::read_link("/proc/self/ns/mnt").unwrap();
        assert!(text.contains(namespace.to_str().unwrap()), "{text}");
        assert!(text.contains("privilege level"));
        assert!(text.contains("(effective)"));
    }
}
