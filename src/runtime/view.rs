//! The files of a container that does not run, as it would see them.

use std::os::fd::{AsFd, OwnedFd};

use anyhow::{Context, Result};
use nix::sched::CloneFlags;

use super::perform::{self, Stage};
use super::plan::{self, Facts, Step};
use super::{RootFs, Seed, WindowSize, rootfs};
use crate::idmap::Identity;
use crate::oci::runtime::Spec;

/// Mounts the root file system and what the specification mounts in it, and returns the root, opened only to be
/// named. File systems of the kernel are left out: they belong to a running container. `identity` says whose root it
/// is.
///
/// All is mounted in a mount namespace of its own, into which this process moves for good, so that it is gone
/// when the process is, however it ends. The process is root of the ancestor user namespace and has one thread.
pub fn view(spec: &Spec, rootfs: &RootFs, seeds: &[Seed], identity: &Identity) -> Result<OwnedFd> {
    nix::sched::unshare(CloneFlags::CLONE_NEWNS).context("make a mount namespace")?;
    let facts = Facts {
        unified_cgroups: perform::has_unified_cgroups(),
        groups: &[],
        terminal: false,
        account: None,
    };
    let mut stage = Stage::new(WindowSize::default(), &[]);
    stage.owner = identity.kept.map(|kept| kept.above(0, 0));
    for step in plan::plan(spec, rootfs, seeds, &[], facts) {
        if matches!(step, Step::Root(_) | Step::Seed(_) | Step::Mount(_) | Step::RootAttributes(..)) {
            stage.perform(&step)?;
        }
    }
    stage.root()?.as_fd().try_clone_to_owned().context("keep the root")
}

/// Moves this process for good into a mount namespace of its own, so that what it mounts is gone when it is. The
/// process is root of the ancestor user namespace and has one thread.
pub fn enter_mounts() -> Result<()> {
    nix::sched::unshare(CloneFlags::CLONE_NEWNS).context("make a mount namespace")
}

/// Mounts a root file system in the mount namespace that [`enter_mounts`] has made, and returns its root, opened only
/// to be named.
pub fn mount(rootfs: &RootFs) -> Result<OwnedFd> {
    rootfs::mount(rootfs)?.as_fd().try_clone_to_owned().context("keep the root")
}
