//! Who an emulated process believes to be: credentials(7) as a value, and the calls that change them.

use rustix::io::Errno;
use serde::{Deserialize, Serialize};

/// "Leave it as it is", among the arguments of calls.
const KEEP: u32 = u32::MAX;

/// The ids of one kind, users or groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(in crate::runtime) struct Ids {
    pub(super) real: u32,
    pub(super) effective: u32,
    pub(super) saved: u32,
    pub(super) file: u32,
}

/// All ids of a process.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(in crate::runtime) struct Credentials {
    pub(super) user: Ids,
    pub(super) group: Ids,
    pub(super) groups: Vec<u32>,
    /// Whether its powers survive that it stops being root (`PR_SET_KEEPCAPS`).
    #[serde(default)]
    pub(super) keeps: bool,
    /// Whether they did.
    #[serde(default)]
    pub(super) kept: bool,
}

impl Ids {
    pub(super) fn all(id: u32) -> Self {
        Self { real: id, effective: id, saved: id, file: id }
    }

    fn known(self, id: u32) -> bool {
        [self.real, self.effective, self.saved].contains(&id)
    }

    /// setuid(2), setgid(2).
    pub(super) fn set(self, id: u32, privileged: bool) -> Result<Self, Errno> {
        if id == KEEP {
            return Err(Errno::INVAL);
        }
        if privileged {
            Ok(Self::all(id))
        } else if id == self.real || id == self.saved {
            Ok(Self { effective: id, file: id, ..self })
        } else {
            Err(Errno::PERM)
        }
    }

    /// setreuid(2), setregid(2).
    pub(super) fn set_two(self, real: u32, effective: u32, privileged: bool) -> Result<Self, Errno> {
        if !privileged
            && ((real != KEEP && real != self.real && real != self.effective)
                || (effective != KEEP && !self.known(effective)))
        {
            return Err(Errno::PERM);
        }
        let mut new = self.with(real, effective, KEEP);
        if real != KEEP || (effective != KEEP && effective != self.real) {
            new.saved = new.effective;
        }
        Ok(new)
    }

    /// setresuid(2), setresgid(2).
    pub(super) fn set_three(
        self,
        real: u32,
        effective: u32,
        saved: u32,
        privileged: bool,
    ) -> Result<Self, Errno> {
        if !privileged && [real, effective, saved].iter().any(|id| *id != KEEP && !self.known(*id)) {
            return Err(Errno::PERM);
        }
        Ok(self.with(real, effective, saved))
    }

    /// setfsuid(2), setfsgid(2), which tell nobody whether they did anything.
    pub(super) fn set_file(self, id: u32, privileged: bool) -> Self {
        if id != KEEP && (privileged || id == self.file || self.known(id)) {
            Self { file: id, ..self }
        } else {
            self
        }
    }

    fn with(self, real: u32, effective: u32, saved: u32) -> Self {
        let or = |id, old| if id == KEEP { old } else { id };
        let effective = or(effective, self.effective);
        Self { real: or(real, self.real), effective, saved: or(saved, self.saved), file: effective }
    }
}

impl Credentials {
    /// Returns those of a process that was started as this user.
    pub(in crate::runtime) fn of(uid: u32, gid: u32, groups: &[u32]) -> Self {
        Self { user: Ids::all(uid), group: Ids::all(gid), groups: groups.to_vec(), keeps: false, kept: false }
    }

    /// Tells whether it has the capabilities of the container: root has, and who was root and has kept them.
    pub(super) fn has_powers(&self) -> bool {
        self.user.effective == 0 || self.kept
    }

    /// Returns those with other user ids.
    pub(super) fn with_user(&self, user: Ids) -> Self {
        let root = |ids: Ids| [ids.real, ids.effective, ids.saved].contains(&0);
        let leaves = root(self.user) && !root(user);
        Self { user, kept: if leaves { self.keeps } else { self.kept && !root(user) }, ..self.clone() }
    }

    /// Returns those after execve(2) of a program, which makes its owner and group of it if it says so.
    pub(super) fn execute(&self, user: Option<u32>, group: Option<u32>) -> Self {
        let settle = |ids: Ids, id: Option<u32>| {
            let effective = id.unwrap_or(ids.effective);
            Ids { real: ids.real, effective, saved: effective, file: effective }
        };
        let (user, group) = (settle(self.user, user), settle(self.group, group));
        Self { user, group, groups: self.groups.clone(), keeps: false, kept: false }
    }

    /// Decides chown(2) of a file that belongs to `old`: returns the new owner.
    pub(super) fn chown(
        &self,
        old: (u32, u32),
        uid: u32,
        gid: u32,
        privileged: bool,
    ) -> Result<(u32, u32), Errno> {
        let own = self.user.file == old.0;
        let may_user = uid == KEEP || privileged || (own && uid == old.0);
        let member = gid == old.1 || gid == self.group.file || self.groups.contains(&gid);
        let may_group = gid == KEEP || privileged || (own && member);
        if !may_user || !may_group {
            return Err(Errno::PERM);
        }
        Ok((if uid == KEEP { old.0 } else { uid }, if gid == KEEP { old.1 } else { gid }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_drops_for_good() {
        let ids = Ids::all(0).set(33, true).unwrap();
        assert_eq!(ids, Ids::all(33));
        assert_eq!(ids.set(0, false), Err(Errno::PERM));
        assert_eq!(ids.set_two(KEEP, 0, false), Err(Errno::PERM));
        assert_eq!(ids.set_three(KEEP, 0, KEEP, false), Err(Errno::PERM));
        assert_eq!(ids.set(33, false), Ok(ids));
        assert_eq!(ids.set(KEEP, false), Err(Errno::INVAL));
    }

    #[test]
    fn what_is_saved_can_come_back() {
        // seteuid(33) is setresuid(-1, 33, -1) of the C library.
        let ids = Ids::all(0).set_three(KEEP, 33, KEEP, true).unwrap();
        assert_eq!((ids.real, ids.effective, ids.saved, ids.file), (0, 33, 0, 33));
        assert_eq!(ids.set_three(KEEP, 0, KEEP, false).unwrap(), Ids::all(0));
        assert_eq!(ids.set(0, false).unwrap(), Ids::all(0));
    }

    #[test]
    fn setreuid_saves_as_the_manual_says() {
        let ids = Ids::all(0).set_two(KEEP, 33, true).unwrap();
        assert_eq!((ids.real, ids.effective, ids.saved), (0, 33, 33));
        let ids = Ids::all(5).set_two(KEEP, 5, false).unwrap();
        assert_eq!(ids, Ids::all(5));
        let ids = Ids { real: 1, effective: 2, saved: 2, file: 2 }.set_two(2, 1, false).unwrap();
        assert_eq!((ids.real, ids.effective, ids.saved), (2, 1, 1));
    }

    #[test]
    fn the_file_id_goes_its_own_way() {
        let ids = Ids::all(0).set_file(7, true);
        assert_eq!((ids.effective, ids.file), (0, 7));
        assert_eq!(Ids::all(5).set_file(7, false), Ids::all(5));
        assert_eq!(ids.set_file(KEEP, true), ids);
    }

    #[test]
    fn powers_are_kept_until_the_next_program() {
        let root = Credentials { keeps: true, ..Credentials::of(0, 0, &[]) };
        let dropped = root.with_user(Ids::all(33));
        assert!(dropped.has_powers());
        assert!(!dropped.execute(None, None).has_powers());
        assert!(!Credentials::of(0, 0, &[]).with_user(Ids::all(33)).has_powers());
        // Root in one of the three is still root.
        let lent = Credentials::of(0, 0, &[]).with_user(Ids { effective: 33, file: 33, ..Ids::all(0) });
        assert!(!lent.has_powers());
        assert!(lent.with_user(Ids::all(0)).has_powers());
    }

    #[test]
    fn setuid_programs_make_root() {
        let new = Credentials::of(33, 33, &[4]).execute(Some(0), None);
        assert_eq!((new.user.real, new.user.effective, new.user.saved), (33, 0, 0));
        assert_eq!(new.group, Ids::all(33));
        assert!(new.has_powers());
    }

    #[test]
    fn owners_give_files_to_their_groups_only() {
        let user = Credentials::of(5, 6, &[7]);
        assert_eq!(user.chown((5, 6), KEEP, 7, false), Ok((5, 7)));
        assert_eq!(user.chown((5, 6), 5, 6, false), Ok((5, 6)));
        assert_eq!(user.chown((5, 6), KEEP, 8, false), Err(Errno::PERM));
        assert_eq!(user.chown((5, 6), 0, KEEP, false), Err(Errno::PERM));
        assert_eq!(user.chown((0, 0), KEEP, 7, false), Err(Errno::PERM));
        assert_eq!(user.chown((0, 0), KEEP, KEEP, false), Ok((0, 0)));
        assert_eq!(Credentials::of(0, 0, &[]).chown((5, 6), 1, 2, true), Ok((1, 2)));
    }
}
