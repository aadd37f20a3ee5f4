//! `--volumes-from`: the mounts of other containers.

use anyhow::{Result, bail};

use super::config::{Mount, MountSource};
use super::name;
use crate::store::Store;

/// Returns the mounts of the containers that are named, each as `container[:mode]`. Of several for one target
/// the last counts. An unnamed volume stays one: it goes with the last container that has it.
pub(super) fn mounts(store: &Store, specs: &[String]) -> Result<Vec<Mount>> {
    let mut mounts: Vec<Mount> = Vec::new();
    for spec in specs {
        let (container, mode) = parse(spec)?;
        let config = name::find(store, container)?.config()?;
        for mut mount in config.mounts {
            mount.read_only |= mode == Access::ReadOnly;
            if let MountSource::Volume { no_copy, .. } = &mut mount.source {
                // It has been filled, or was not to be.
                *no_copy = true;
            }
            mounts.retain(|other| other.target != mount.target);
            mounts.push(mount);
        }
    }
    Ok(mounts)
}

/// What the container may do with the mounts of another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    ReadOnly,
    AsThere,
}

/// Splits a specification; the modes are those of `-v`.
fn parse(spec: &str) -> Result<(&str, Access)> {
    if spec.is_empty() {
        bail!("volumes-from specification cannot be an empty string");
    }
    let Some((container, mode)) = spec.split_once(':') else { return Ok((spec, Access::AsThere)) };
    let (mut access, mut labels, mut copies) = (None, 0, 0);
    for word in mode.split(',') {
        match word {
            "ro" | "rw" if access.is_none() => {
                access = Some(if word == "ro" { Access::ReadOnly } else { Access::AsThere });
            }
            "z" | "Z" => labels += 1,
            "nocopy" => copies += 1,
            _ => bail!("invalid mode: {mode}"),
        }
    }
    if labels > 1 || copies > 1 {
        bail!("invalid mode: {mode}");
    }
    Ok((container, access.unwrap_or(Access::AsThere)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_names_and_modes() {
        assert_eq!(parse("web").unwrap(), ("web", Access::AsThere));
        assert_eq!(parse("web:ro").unwrap(), ("web", Access::ReadOnly));
        assert_eq!(parse("web:rw,z").unwrap(), ("web", Access::AsThere));
        let error = |spec| parse(spec).unwrap_err().to_string();
        assert_eq!(error(""), "volumes-from specification cannot be an empty string");
        assert_eq!(error("web:bogus"), "invalid mode: bogus");
        assert_eq!(error("web:ro,rw"), "invalid mode: ro,rw");
    }
}
