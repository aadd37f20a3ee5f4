//! The system call filter of a container.

use std::borrow::Cow;

use anyhow::{Context, Result};

use super::config::ContainerConfig;
use super::security::{self, Seccomp};
use crate::runtime::{capability, seccomp};

/// Decides the filter of a container, or of a process in it; `None`: no filter.
pub(super) fn of(
    config: &ContainerConfig,
    privileged: bool,
) -> Result<Option<Cow<'static, [libc::sock_filter]>>> {
    if privileged {
        return Ok(None);
    }
    let capabilities = capability::bits(&capability::decide(&config.cap_add, &config.cap_drop, false)?)?;
    match security::parse(&config.security_opt)?.seccomp {
        Seccomp::Unconfined => Ok(None),
        Seccomp::Default => Ok(Some(seccomp::default_filter(capabilities))),
        Seccomp::Profile(text) => {
            let filter = seccomp::from_json(&text, capabilities)
                .context("invalid --security-opt: read the seccomp profile")?;
            Ok(Some(filter).filter(|filter| !filter.is_empty()).map(Cow::Owned))
        }
    }
}
