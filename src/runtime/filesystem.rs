//! New instances of file systems (fsopen(2), fsconfig(2), fsmount(2); Linux 5.2), attached nowhere.

use std::os::fd::OwnedFd;

use anyhow::{Context, Error, Result};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};

/// A file system whose options are being set.
#[derive(Debug)]
pub(super) struct Making {
    kind: String,
    fs: OwnedFd,
}

impl Making {
    /// Begins one. `source` is only a name, for those who look at the list of mounts.
    pub(super) fn begin(kind: &str, source: &str) -> Result<Self> {
        let fs = rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)
            .with_context(|| format!("make the {kind} file system"))?;
        let making = Self { kind: kind.to_owned(), fs };
        making.set("source", Some(source))?;
        Ok(making)
    }

    /// Sets an option.
    pub(super) fn set(&self, key: &str, value: Option<&str>) -> Result<()> {
        self.try_set(key, value).map_err(|errno| {
            let option = value.map_or_else(|| key.to_owned(), |value| format!("{key}={value}"));
            self.explain(errno).context(format!("set option {option} of {}", self.kind))
        })
    }

    /// Sets an option that this kernel may not know.
    pub(super) fn try_set(&self, key: &str, value: Option<&str>) -> Result<(), Errno> {
        match value {
            Some(value) => rustix::mount::fsconfig_set_string(&self.fs, key, value),
            None => rustix::mount::fsconfig_set_flag(&self.fs, key),
        }
    }

    /// Makes it, with `MOUNT_ATTR_…` bits.
    pub(super) fn finish(self, attributes: u64) -> Result<OwnedFd> {
        let attributes = MountAttrFlags::from_bits_retain(u32::try_from(attributes)?);
        rustix::mount::fsconfig_create(&self.fs)
            .and_then(|()| rustix::mount::fsmount(&self.fs, FsMountFlags::FSMOUNT_CLOEXEC, attributes))
            .map_err(|errno| self.refused(errno))
    }

    fn refused(&self, errno: Errno) -> Error {
        let kind = &self.kind;
        let error = self.explain(errno);
        if errno == Errno::PERM && matches!(kind.as_str(), "proc" | "sysfs") {
            return error.context(format!(
                "make the {kind} file system: parts of the /{} around this one are hidden, as in a container, and \
                 then the kernel allows no other; start the outer container with --security-opt \
                 systempaths=unconfined (docker) or --security-opt unmask=ALL (podman)",
                if kind == "proc" { "proc" } else { "sys" }
            ));
        }
        error.context(format!("make the {kind} file system"))
    }

    /// Returns the error with what the kernel says about it, a line each, like `e overlay: …`.
    fn explain(&self, errno: Errno) -> Error {
        let mut said = Vec::new();
        let mut buffer = [0_u8; 1024];
        while let Ok(length @ 1..) = rustix::io::read(&self.fs, &mut buffer) {
            let line = String::from_utf8_lossy(&buffer[..length]);
            let line = line.trim();
            said.push(line.strip_prefix("e ").unwrap_or(line).to_owned());
        }
        let error = Error::new(errno);
        if said.is_empty() { error } else { error.context(said.join("; ")) }
    }
}
