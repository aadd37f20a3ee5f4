//! Who the user may be inside: subordinate ids, mappings, and the privilege level in force.
//!
//! # Theory of operation
//!
//! All processes of one user that work with mapped ids share one *ancestor* user namespace. Whoever needs
//! it first makes it ([`Ancestor::enter`]): at level `subuid` that costs a run of `newuidmap` and
//! `newgidmap`, about ten milliseconds, which later commands are spared, because they join the namespace
//! of any process that is still in it. No process is kept only to hold it: when the last member ends the
//! namespace is gone, and the next command makes another one that is the same in every respect that
//! matters, its map.
//!
//! Each container has a user namespace of its own *below* the ancestor. The ancestor's root writes its map
//! without a setuid program, and has every power over it; it has none over the ancestor or a sibling. In most of
//! them every id means what it does in the ancestor; [`keep`] has the others.

mod account;
mod ancestor;
mod diagnose;
mod keep;
mod subordinate;

use std::fmt::Write as _;
use std::fs;

use anyhow::{Context as _, Result};
use rustix::process::{getegid, geteuid};

pub use account::{Account, Group, ResolveError, User, group, passwd, resolve};
pub use ancestor::Ancestor;
pub use diagnose::diagnose;
pub use keep::{KeepError, Kept, own_ids};

/// The attribute of a file's owner, where the user namespace maps one id: `uid:gid:mode`, mode in octal.
pub const OWNER: &str = "user.coracle.owner";

/// What the user may do on this machine, from the most to the least.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// The caller is root of its own user namespace: all ids that it has.
    Root,
    /// The user's own id and the subordinate ids that an administrator has given.
    Subuid,
    /// The user's own id only.
    Single,
}

impl Level {
    /// Returns the level's name as `info` prints it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Subuid => "subuid",
            Self::Single => "single",
        }
    }
}

/// Consecutive ids of a user namespace and what they are in the namespace above it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The first id inside.
    pub inside: u32,
    /// What it is outside.
    pub outside: u32,
    /// How many there are.
    pub count: u32,
}

/// A user namespace's mapping (user_namespaces(7)).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IdMap {
    /// The user ids.
    pub uids: Vec<Range>,
    /// The group ids.
    pub gids: Vec<Range>,
}

impl IdMap {
    /// Returns the map of one user and one group to root.
    pub fn single(uid: u32, gid: u32) -> Self {
        Self {
            uids: vec![Range { inside: 0, outside: uid, count: 1 }],
            gids: vec![Range { inside: 0, outside: gid, count: 1 }],
        }
    }

    /// Returns the canonical text: one line a range, users first. Equal texts mean that files unpacked
    /// under one map are right under the other.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (kind, ranges) in [("uid", &self.uids), ("gid", &self.gids)] {
            for range in ranges {
                // Writing to a string cannot fail.
                let _ = writeln!(text, "{kind} {} {} {}", range.inside, range.outside, range.count);
            }
        }
        text
    }

    /// Returns the map of a namespace below one with this map, in which every id means the same.
    #[must_use]
    pub fn identity(&self) -> Self {
        Self { uids: identity(&self.uids), gids: identity(&self.gids) }
    }
}

/// The ids inside `ranges`, each mapped to itself. Neighbours stay apart: the kernel takes no range that
/// spans two of the namespace above.
fn identity(ranges: &[Range]) -> Vec<Range> {
    ranges.iter().map(|range| Range { outside: range.inside, ..*range }).collect()
}

/// Returns the lines that the kernel wants in `uid_map` or `gid_map`.
pub fn map_lines(ranges: &[Range]) -> String {
    let mut text = String::new();
    for range in ranges {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{} {} {}", range.inside, range.outside, range.count);
    }
    text
}

/// Reads the kernel's `uid_map` or `gid_map`.
fn parse_map(text: &str) -> Option<Vec<Range>> {
    text.lines()
        .map(|line| {
            let mut fields = line.split_ascii_whitespace().map(str::parse);
            let mut next = || fields.next()?.ok();
            Some(Range { inside: next()?, outside: next()?, count: next()? })
        })
        .collect()
}

/// Who the user may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The level in force.
    pub level: Level,
    /// The map of the ancestor user namespace.
    pub map: IdMap,
    /// Why it is not a higher level, a sentence each.
    pub reasons: Vec<String>,
    /// Who the user is inside of a container that keeps the user's ids ([`Identity::keeping`]).
    pub kept: Option<Kept>,
}

/// Finds out who the user may be, without making a namespace.
pub fn observe() -> Result<Identity> {
    let mut reasons = Vec::new();
    let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
    let own = IdMap { uids: read_map("/proc/self/uid_map")?, gids: read_map("/proc/self/gid_map")? };
    if uid == 0 {
        if may_set_ids() {
            return Ok(Identity { level: Level::Root, map: own.identity(), reasons, kept: None });
        }
        reasons.push("root without the capabilities SETUID and SETGID".to_owned());
    }
    let (level, map) = match subordinate::map(uid, gid, &own) {
        Ok(map) => (Level::Subuid, map),
        Err(reason) => {
            reasons.push(reason);
            (Level::Single, IdMap::single(uid, gid))
        }
    };
    Ok(Identity { level, map, reasons, kept: None })
}

fn read_map(path: &str) -> Result<Vec<Range>> {
    let text = fs::read_to_string(path).with_context(|| format!("read {path}"))?;
    parse_map(&text).with_context(|| format!("parse {path}"))
}

/// Tells whether this process may write a map of several ids.
fn may_set_ids() -> bool {
    use rustix::thread::CapabilitySet;
    rustix::thread::capabilities(None)
        .is_ok_and(|sets| sets.effective.contains(CapabilitySet::SETUID | CapabilitySet::SETGID))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(inside: u32, outside: u32, count: u32) -> Range {
        Range { inside, outside, count }
    }

    #[test]
    fn maps_below_keep_every_id() {
        let map = IdMap {
            uids: vec![range(0, 1000, 1), range(1, 100_000, 65536), range(65537, 300_000, 10)],
            gids: vec![range(0, 1000, 1), range(100, 5000, 10)],
        };
        let nested = map.identity();
        assert_eq!(nested.uids, [range(0, 0, 1), range(1, 1, 65536), range(65537, 65537, 10)]);
        assert_eq!(nested.gids, [range(0, 0, 1), range(100, 100, 10)]);
        let all = IdMap { uids: vec![range(0, 0, u32::MAX)], gids: vec![] };
        assert_eq!(all.identity().uids, [range(0, 0, u32::MAX)]);
    }

    #[test]
    fn says_itself_in_one_way() {
        assert_eq!(IdMap::single(1000, 100).text(), "uid 0 1000 1\ngid 0 100 1\n");
        assert_eq!(parse_map("         0       1000          1\n").unwrap(), [range(0, 1000, 1)]);
        assert_eq!(parse_map("0 x 1\n"), None);
        assert_eq!(parse_map("0 1\n"), None);
    }
}
