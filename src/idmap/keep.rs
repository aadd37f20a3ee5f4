//! Containers in which the user is not root but a user: their own ids, or others that they choose.
//!
//! # Theory of operation
//!
//! All of the user's containers live below one ancestor namespace, in which the user is root and the subordinate
//! ids follow in their order: 1, 2, 3, … Of such a container the map below the ancestor is another one. The id
//! that is kept, `k`, is the ancestor's 0; what is below `k` are the first subordinate ids, what is above are
//! those behind them:
//!
//! ```text
//! container   0  1  …  k-1   k   k+1  k+2  …
//! ancestor    1  2  …   k    0   k+1  k+2  …
//! ```
//!
//! So root inside is the first subordinate id, and only ids up to `k` differ from those of other containers. Where
//! there are fewer than `k` subordinate ids, all of them come first, and between them and `k` nothing is mapped.
//! Users and groups have a `k` each.
//!
//! The ancestor stays the same one for all, so that networks, joins and removals need not know of it. A file of
//! such a container is met there with the ancestor's ids; [`Kept`] translates them, in either direction.

use serde::{Deserialize, Serialize};

use super::{IdMap, Identity, Level, Range, identity};

/// The attribute of a file's capabilities in its third revision ends in the root that it means
/// (`vfs_ns_cap_data`, capabilities(7)).
const CAPABILITY: &[u8] = b"security.capability";
/// The size of the second revision, which says no root, and of the third.
const CAPABILITY_SIZES: (usize, usize) = (20, 24);
/// The bits of the first word that are the revision, and the two revisions.
const REVISION: u32 = 0xff00_0000;
const SECOND: u32 = 0x0200_0000;
const THIRD: u32 = 0x0300_0000;
/// The tags of entries of an access control list that name a user or a group (acl(5), `posix_acl_xattr.h`).
const ACL_USER: u16 = 0x02;
const ACL_GROUP: u16 = 0x08;

/// The ids that the user has inside such a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The user id.
    pub uid: u32,
    /// The group id.
    pub gid: u32,
}

/// Returns the ids of the user, who has entered no namespace yet.
pub fn own_ids() -> Kept {
    Kept { uid: rustix::process::geteuid().as_raw(), gid: rustix::process::getegid().as_raw() }
}

/// The user's own ids cannot be kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeepError {
    /// There is no other one.
    #[error(
        "--userns keep-id: it takes subordinate ids to be the container's root and its other users ({})", .0.join("; ")
    )]
    Single(Vec<String>),
    /// The user is root.
    #[error(
        "--userns keep-id is for users without privileges: you are root here, and the container's root is you"
    )]
    Root,
    /// Numbers that mean no id.
    #[error("--userns keep-id: {0} is no id: uids and gids must be in range 0-2147483647")]
    Range(u32),
}

impl Identity {
    /// Returns who the user may be in a container that keeps the user's ids. The ancestor is the same.
    pub fn keeping(self, kept: Option<Kept>) -> Result<Self, KeepError> {
        let Some(kept) = kept else { return Ok(Self { kept: None, ..self }) };
        match self.level {
            Level::Root => return Err(KeepError::Root),
            Level::Single => return Err(KeepError::Single(self.reasons)),
            Level::Subuid => {}
        }
        if let Some(id) = [kept.uid, kept.gid].into_iter().find(|id| i32::try_from(*id).is_err()) {
            return Err(KeepError::Range(id));
        }
        Ok(Self { kept: Some(kept), ..self })
    }

    /// Returns the map of a container's user namespace, below the ancestor.
    pub fn below(&self) -> IdMap {
        match self.kept {
            None => self.map.identity(),
            Some(Kept { uid, gid }) => {
                IdMap { uids: below(&self.map.uids, uid), gids: below(&self.map.gids, gid) }
            }
        }
    }

    /// Returns what the ids of its containers are outside of the ancestor: equal ones can share unpacked files.
    pub fn inside(&self) -> IdMap {
        if self.kept.is_none() {
            return self.map.clone();
        }
        let IdMap { uids, gids } = self.below();
        IdMap { uids: through(&uids, &self.map.uids), gids: through(&gids, &self.map.gids) }
    }
}

/// Decides the map below an ancestor with these ranges, whose first is the user's own id alone.
fn below(ancestor: &[Range], keep: u32) -> Vec<Range> {
    let ids = identity(ancestor);
    let mut ranges = vec![Range { inside: keep, outside: 0, count: 1 }];
    for Range { inside, count, .. } in ids.into_iter().filter(|range| range.inside > 0) {
        // The kernel takes no range that spans two of the namespace above, and here none that is split.
        let end = inside.saturating_add(count);
        let middle = keep.saturating_add(1).clamp(inside, end);
        let (low, high) = (middle - inside, end - middle);
        ranges.extend((low > 0).then(|| Range { inside: inside - 1, outside: inside, count: low }));
        ranges.extend((high > 0).then_some(Range { inside: middle, outside: middle, count: high }));
    }
    ranges.sort_by_key(|range| range.inside);
    ranges
}

/// Returns what ids mapped by `ranges`, none of which spans two of `above`, are where those lead.
fn through(ranges: &[Range], above: &[Range]) -> Vec<Range> {
    let outside = |id: u32| {
        let range = above.iter().find(|range| range.inside <= id && id - range.inside < range.count)?;
        Some(range.outside + (id - range.inside))
    };
    ranges.iter().filter_map(|range| Some(Range { outside: outside(range.outside)?, ..*range })).collect()
}

impl Kept {
    /// Returns what a container's ids are in the ancestor.
    #[must_use]
    pub fn above(self, uid: u32, gid: u32) -> (u32, u32) {
        (above(self.uid, uid), above(self.gid, gid))
    }

    /// Returns what ids of the ancestor are in a container.
    #[must_use]
    pub fn within(self, uid: u32, gid: u32) -> (u32, u32) {
        (within(self.uid, uid), within(self.gid, gid))
    }

    /// Translates the ids in an attribute of a file that means what it does in a container into what is to be set in
    /// the ancestor.
    #[must_use]
    pub fn attribute_above(self, name: &[u8], value: &[u8]) -> Vec<u8> {
        if name == CAPABILITY {
            return capability(value, SECOND, |_| self.above(0, 0).0);
        }
        let lists: [&[u8]; 2] = [b"system.posix_acl_access", b"system.posix_acl_default"];
        if !lists.contains(&name) {
            return value.to_vec();
        }
        let mut value = value.to_vec();
        // After the version: tag, permissions, id.
        for entry in value.get_mut(4..).unwrap_or_default().chunks_exact_mut(8) {
            let id = u32::from_le_bytes([entry[4], entry[5], entry[6], entry[7]]);
            let id = match u16::from_le_bytes([entry[0], entry[1]]) {
                ACL_USER => above(self.uid, id),
                ACL_GROUP => above(self.gid, id),
                _ => continue,
            };
            entry[4..].copy_from_slice(&id.to_le_bytes());
        }
        value
    }

    /// Translates an attribute of a file as the ancestor shows it into what it means in a container.
    #[must_use]
    pub fn attribute_within(self, name: &[u8], value: Vec<u8>) -> Vec<u8> {
        if name == CAPABILITY { capability(&value, THIRD, |root| within(self.uid, root)) } else { value }
    }
}

fn above(keep: u32, id: u32) -> u32 {
    match id {
        // No id at all stays none.
        u32::MAX => id,
        id if id == keep => 0,
        id if id < keep => id + 1,
        id => id,
    }
}

fn within(keep: u32, id: u32) -> u32 {
    match id {
        0 => keep,
        id if id <= keep => id - 1,
        id => id,
    }
}

/// Gives capabilities of the revision `from` the root that `root` makes of the one that they mean. Those of root
/// need not say so.
fn capability(value: &[u8], from: u32, root: impl Fn(u32) -> u32) -> Vec<u8> {
    let word = |at: usize| value.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes);
    let (second, third) = CAPABILITY_SIZES;
    let size = if from == SECOND { second } else { third };
    let Some(magic) = word(0).filter(|magic| magic & REVISION == from && value.len() == size) else {
        return value.to_vec();
    };
    let root = root(if from == THIRD { word(second).unwrap_or(0) } else { 0 });
    let revision = if root == 0 { SECOND } else { THIRD };
    let mut made = (magic & !REVISION | revision).to_le_bytes().to_vec();
    made.extend_from_slice(&value[4..second]);
    if root != 0 {
        made.extend_from_slice(&root.to_le_bytes());
    }
    made
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn range(inside: u32, outside: u32, count: u32) -> Range {
        Range { inside, outside, count }
    }

    fn all(ranges: &[Range]) -> BTreeMap<u32, u32> {
        let mut all = BTreeMap::new();
        for range in ranges {
            for step in 0..range.count {
                assert_eq!(all.insert(range.inside + step, range.outside + step), None, "{ranges:?}");
            }
        }
        all
    }

    /// Ancestors of one, two and three subordinate ranges, some of one id only.
    fn ancestors() -> Vec<Vec<Range>> {
        vec![
            vec![range(0, 1000, 1), range(1, 5000, 20)],
            vec![range(0, 1000, 1), range(1, 5000, 1), range(2, 7000, 9)],
            vec![range(0, 7, 1), range(1, 100, 4), range(5, 50, 1), range(6, 900, 6)],
        ]
    }

    #[test]
    fn keeps_one_id_and_uses_all_others_in_order() {
        for ancestor in ancestors() {
            let outside: Vec<u32> = all(&ancestor).into_values().collect();
            let (own, subordinates) = outside.split_first().unwrap();
            for keep in [0, 1, 2, 4, 5, 6, 9, 10, 11, 12, 19, 20, 21, 40, i32::MAX.unsigned_abs()] {
                let map = below(&ancestor, keep);
                for range in &map {
                    let spans = ancestor.iter().filter(|above| {
                        range.outside < above.inside + above.count
                            && above.inside < range.outside + range.count
                    });
                    assert_eq!(spans.count(), 1, "{keep}: {range:?}");
                }
                let mut ids = all(&through(&map, &ancestor));
                assert_eq!(ids.remove(&keep), Some(*own), "{keep}");
                assert_eq!(ids.values().copied().collect::<Vec<_>>(), subordinates, "{keep}");
                // Without a gap, but for the one before an id that they do not reach up to.
                let inside: Vec<u32> = ids.into_keys().collect();
                let expected = (0..).filter(|id| *id != keep).take(subordinates.len()).collect::<Vec<_>>();
                assert_eq!(inside, expected, "{keep}");
            }
        }
    }

    #[test]
    fn translates_as_the_map_does() {
        for ancestor in ancestors() {
            for keep in [0, 1, 4, 5, 11, 20, 40] {
                let kept = Kept { uid: keep, gid: 3 };
                for (inside, outside) in all(&below(&ancestor, keep)) {
                    assert_eq!((kept.above(inside, 3), kept.within(outside, 0)), ((outside, 0), (inside, 3)));
                }
            }
        }
        assert_eq!(Kept { uid: 5, gid: 5 }.above(u32::MAX, 6), (u32::MAX, 6));
    }

    #[test]
    fn is_said_in_one_way() {
        let ancestor =
            IdMap { uids: vec![range(0, 1000, 1), range(1, 5000, 20)], gids: vec![range(0, 1000, 1)] };
        let reasons = vec!["no".to_owned()];
        let identity =
            |level| Identity { level, map: ancestor.clone(), reasons: reasons.clone(), kept: None };
        let keeping = |uid, gid| identity(Level::Subuid).keeping(Some(Kept { uid, gid }));
        // Root kept as root is what other containers have, too.
        assert_eq!(keeping(0, 0).unwrap().inside().text(), ancestor.text());
        assert_eq!(
            keeping(2, 0).unwrap().inside().text(),
            "uid 0 5000 2\nuid 2 1000 1\nuid 3 5002 18\ngid 0 1000 1\n"
        );
        assert_eq!(keeping(1 << 31, 0), Err(KeepError::Range(1 << 31)));
        let kept = Some(Kept { uid: 1, gid: 1 });
        assert_eq!(identity(Level::Root).keeping(kept), Err(KeepError::Root));
        assert_eq!(identity(Level::Single).keeping(kept), Err(KeepError::Single(reasons.clone())));
        assert_eq!(identity(Level::Single).keeping(None), Ok(identity(Level::Single)));
    }

    #[test]
    fn translates_attributes() {
        let kept = Kept { uid: 5, gid: 7 };
        let second = [&[1, 0, 0, 2][..], &[9; 16]].concat();
        let third = [&[1, 0, 0, 3][..], &[9; 16], &[1, 0, 0, 0]].concat();
        assert_eq!(kept.attribute_above(CAPABILITY, &second), third);
        assert_eq!(kept.attribute_within(CAPABILITY, third.clone()), second);
        assert_eq!(kept.attribute_within(CAPABILITY, second.clone()), second, "of the ancestor's root");
        assert_eq!(kept.attribute_above(CAPABILITY, b"short"), b"short");
        let own = Kept { uid: 0, gid: 0 };
        assert_eq!(own.attribute_above(CAPABILITY, &second), second);
        let list = |user: u8, group: u8, owner: u8| {
            let entry = |tag: u8, id: u8| vec![tag, 0, 7, 0, id, 0, 0, 0];
            [vec![2, 0, 0, 0], entry(1, owner), entry(2, user), entry(8, group)].concat()
        };
        let name = b"system.posix_acl_access";
        assert_eq!(kept.attribute_above(name, &list(5, 3, 5)), list(0, 4, 5));
        assert_eq!(kept.attribute_above(b"user.x", b"x"), b"x");
    }
}
