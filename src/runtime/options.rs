//! The options of a mount as the runtime specification writes them (config.md, "Mounts"; mount(8)).

use crate::sys::mount::{Attributes, Depth};

/// What a list of options means.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Options {
    /// Set on the mount.
    pub(super) one: Attributes,
    /// Set on the mount and those below it.
    pub(super) tree: Attributes,
    /// `Some` for a bind mount.
    pub(super) bind: Option<Depth>,
    /// What the file system itself understands.
    pub(super) data: Vec<(String, Option<String>)>,
}

/// Reads a list of options.
pub(super) fn parse(options: &[String]) -> Options {
    let mut parsed = Options::default();
    for option in options {
        match option.as_str() {
            "bind" => parsed.bind = Some(Depth::One),
            "rbind" => parsed.bind = Some(Depth::Tree),
            "private" => parsed.one.propagation = libc::MS_PRIVATE,
            "slave" => parsed.one.propagation = libc::MS_SLAVE,
            "shared" => parsed.one.propagation = libc::MS_SHARED,
            "unbindable" => parsed.one.propagation = libc::MS_UNBINDABLE,
            "rprivate" => parsed.tree.propagation = libc::MS_PRIVATE,
            "rslave" => parsed.tree.propagation = libc::MS_SLAVE,
            "rshared" => parsed.tree.propagation = libc::MS_SHARED,
            "runbindable" => parsed.tree.propagation = libc::MS_UNBINDABLE,
            // The defaults, and what has a meaning for other programs only.
            "" | "defaults" | "async" | "nolazytime" | "z" | "Z" | "tmpcopyup" | "notmpcopyup" => {}
            word => match attribute(word) {
                Some(change) => change.apply(&mut parsed.one),
                None => match word.strip_prefix('r').and_then(attribute) {
                    Some(change) => change.apply(&mut parsed.tree),
                    None => parsed.data.push(match word.split_once('=') {
                        Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
                        None => (word.to_owned(), None),
                    }),
                },
            },
        }
    }
    parsed
}

/// One attribute of a mount switched on or off, or a time-stamp policy chosen.
#[derive(Clone, Copy)]
enum Change {
    On(u64),
    Off(u64),
    AccessTime(u64),
}

impl Change {
    fn apply(self, to: &mut Attributes) {
        match self {
            Self::On(bit) => (to.set, to.clear) = (to.set | bit, to.clear & !bit),
            Self::Off(bit) => (to.set, to.clear) = (to.set & !bit, to.clear | bit),
            Self::AccessTime(policy) => {
                to.set = to.set & !libc::MOUNT_ATTR__ATIME | policy;
                to.clear |= libc::MOUNT_ATTR__ATIME;
            }
        }
    }
}

fn attribute(word: &str) -> Option<Change> {
    Some(match word {
        "ro" => Change::On(libc::MOUNT_ATTR_RDONLY),
        "rw" => Change::Off(libc::MOUNT_ATTR_RDONLY),
        "nosuid" => Change::On(libc::MOUNT_ATTR_NOSUID),
        "suid" => Change::Off(libc::MOUNT_ATTR_NOSUID),
        "nodev" => Change::On(libc::MOUNT_ATTR_NODEV),
        "dev" => Change::Off(libc::MOUNT_ATTR_NODEV),
        "noexec" => Change::On(libc::MOUNT_ATTR_NOEXEC),
        "exec" => Change::Off(libc::MOUNT_ATTR_NOEXEC),
        "nosymfollow" => Change::On(libc::MOUNT_ATTR_NOSYMFOLLOW),
        "symfollow" => Change::Off(libc::MOUNT_ATTR_NOSYMFOLLOW),
        "nodiratime" => Change::On(libc::MOUNT_ATTR_NODIRATIME),
        "diratime" => Change::Off(libc::MOUNT_ATTR_NODIRATIME),
        "relatime" | "atime" | "nostrictatime" => Change::AccessTime(libc::MOUNT_ATTR_RELATIME),
        "noatime" | "norelatime" => Change::AccessTime(libc::MOUNT_ATTR_NOATIME),
        "strictatime" => Change::AccessTime(libc::MOUNT_ATTR_STRICTATIME),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(words: &str) -> Options {
        parse(&words.split(',').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn tells_attributes_from_data() {
        let parsed = options("nosuid,ro,size=64k,mode=1777,newinstance");
        assert_eq!(parsed.one.set, libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_RDONLY);
        assert_eq!(parsed.bind, None);
        let data: Vec<_> = parsed.data.iter().map(|(key, value)| (key.as_str(), value.as_deref())).collect();
        assert_eq!(data, [("size", Some("64k")), ("mode", Some("1777")), ("newinstance", None)]);
    }

    #[test]
    fn the_last_word_counts() {
        let parsed = options("ro,rw,noexec");
        assert_eq!((parsed.one.set, parsed.one.clear), (libc::MOUNT_ATTR_NOEXEC, libc::MOUNT_ATTR_RDONLY));
        assert_eq!(options("noatime,strictatime").one.set, libc::MOUNT_ATTR_STRICTATIME);
    }

    #[test]
    fn binds_have_a_depth_and_a_propagation() {
        let parsed = options("rbind,rprivate,rro");
        assert_eq!(parsed.bind, Some(Depth::Tree));
        assert_eq!(parsed.tree.propagation, libc::MS_PRIVATE);
        assert_eq!(parsed.tree.set, libc::MOUNT_ATTR_RDONLY);
        assert_eq!(parsed.one, Attributes::default());
        assert_eq!(options("relatime").one.clear, libc::MOUNT_ATTR__ATIME);
    }
}
