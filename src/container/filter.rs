//! The system call filter of a container.

use std::borrow::Cow;

use anyhow::{Context, Result};

use super::capability;
use super::config::ContainerConfig;
use super::security::{self, Seccomp};
use crate::runtime::seccomp;

/// Decides the filter; `None`: no filter.
pub(super) fn of(
    config: &ContainerConfig,
    privileged: bool,
) -> Result<Option<Cow<'static, [libc::sock_filter]>>> {
    if privileged {
        return Ok(None);
    }
    let capabilities = capability::decide(&config.cap_add, &config.cap_drop, false)?;
    match security::parse(&config.security_opt)?.seccomp {
        Seccomp::Unconfined => Ok(None),
        Seccomp::Default => Ok(None),
        Seccomp::Profile(text) => seccomp::from_json(&text, &capabilities)
            .context("invalid --security-opt: seccomp profile")
            .map(|filter| Some(Cow::Owned(filter))),
    }
}
