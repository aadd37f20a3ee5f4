//! The accounts of an image: `/etc/passwd` and `/etc/group` read as text, never through the C library,
//! which would load the host's databases (passwd(5), group(5)).

/// A line of passwd(5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The login name.
    pub name: String,
    /// The user id.
    pub uid: u32,
    /// The id of the user's own group.
    pub gid: u32,
    /// The home directory.
    pub home: String,
}

/// A line of group(5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The group's name.
    pub name: String,
    /// The group's id.
    pub gid: u32,
    /// The names of its members.
    pub members: Vec<String>,
}

/// Returns the accounts in the text of a passwd file. Lines that are not accounts are passed over.
pub fn passwd(content: &[u8]) -> impl Iterator<Item = Account> {
    lines(content).filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?.to_owned();
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        let home = fields.nth(1).unwrap_or_default().to_owned();
        Some(Account { name, uid, gid, home })
    })
}

/// Returns the groups in the text of a group file. Lines that are not groups are passed over.
pub fn group(content: &[u8]) -> impl Iterator<Item = Group> {
    lines(content).filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?.to_owned();
        let gid = fields.nth(1)?.parse().ok()?;
        let members = fields.next().unwrap_or_default();
        let members = members.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
        Some(Group { name, gid, members })
    })
}

fn lines(content: &[u8]) -> impl Iterator<Item = String> {
    content.split(|byte| *byte == b'\n').map(|line| String::from_utf8_lossy(line).trim().to_owned())
}

/// Who a process is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The user id.
    pub uid: u32,
    /// The group id.
    pub gid: u32,
    /// All groups, `gid` first.
    pub groups: Vec<u32>,
    /// The home directory; `/` for an id without an account.
    pub home: String,
}

/// Why a request for a user means nobody. The texts are those of Docker.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// No such account.
    #[error("unable to find user {0}: no matching entries in passwd file")]
    User(String),
    /// No such group.
    #[error("unable to find group {0}: no matching entries in group file")]
    Group(String),
    /// A number that is no id.
    #[error("uids and gids must be in range 0-2147483647")]
    Range,
}

/// Finds the user that `request` means: `user`, `user:group`, each by name or number, or nothing for root.
/// `additional` names more groups. A number needs no account; a name does.
///
/// As with Docker, naming a group drops the groups the account is a member of, and the first account with
/// the wanted name *or number* counts.
pub fn resolve(
    request: &str,
    additional: &[String],
    passwd_file: &[u8],
    group_file: &[u8],
) -> Result<User, ResolveError> {
    let (user, group_name) = request.split_once(':').unwrap_or((request, ""));
    let wanted = if user.is_empty() { "0" } else { user };
    let account =
        passwd(passwd_file).find(|account| account.name == user || account.uid.to_string() == wanted);
    let mut found = if let Some(account) = &account {
        User { uid: account.uid, gid: account.gid, groups: vec![], home: account.home.clone() }
    } else {
        let uid = number(wanted)?.ok_or_else(|| ResolveError::User(user.to_owned()))?;
        User { uid, gid: 0, groups: vec![], home: String::new() }
    };
    if found.home.is_empty() {
        "/".clone_into(&mut found.home);
    }
    let groups: Vec<Group> = group(group_file).collect();
    let mut more = Vec::new();
    if !group_name.is_empty() {
        found.gid = find_group(group_name, &groups)?;
    } else if let Some(account) = &account {
        more.extend(
            groups.iter().filter(|group| group.members.contains(&account.name)).map(|group| group.gid),
        );
    }
    found.groups.push(found.gid);
    for name in additional {
        more.push(find_group(name, &groups)?);
    }
    for gid in more {
        if !found.groups.contains(&gid) {
            found.groups.push(gid);
        }
    }
    Ok(found)
}

fn find_group(name: &str, groups: &[Group]) -> Result<u32, ResolveError> {
    match groups.iter().find(|group| group.name == name || group.gid.to_string() == name) {
        Some(group) => Ok(group.gid),
        None => number(name)?.ok_or_else(|| ResolveError::Group(name.to_owned())),
    }
}

/// Reads an id; `None` if the text is no number.
fn number(text: &str) -> Result<Option<u32>, ResolveError> {
    match text.parse::<i64>() {
        Ok(id) if (0..=i64::from(i32::MAX)).contains(&id) => Ok(u32::try_from(id).ok()),
        Ok(_) => Err(ResolveError::Range),
        Err(_) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &[u8] =
        b"root:x:0:0:root:/root:/bin/sh\napp:x:1000:50:,,:/home/app:/bin/sh\n\nbad\n77:x:5:6::/seven:\n";
    const GROUP: &[u8] = b"root:x:0:\nstaff:x:50:\naudio:x:29:app,other\nvideo:x:44:app\n";

    fn user(request: &str) -> Result<User, ResolveError> {
        resolve(request, &[], PASSWD, GROUP)
    }

    #[test]
    fn finds_by_name_and_number() {
        let app = User { uid: 1000, gid: 50, groups: vec![50, 29, 44], home: "/home/app".into() };
        assert_eq!(user("app").unwrap(), app);
        assert_eq!(user("1000").unwrap(), app);
        assert_eq!(user("").unwrap(), User { uid: 0, gid: 0, groups: vec![0], home: "/root".into() });
        assert_eq!(user("4711").unwrap(), User { uid: 4711, gid: 0, groups: vec![0], home: "/".into() });
        assert_eq!(user("77").unwrap().uid, 5);
    }

    #[test]
    fn a_group_replaces_the_memberships() {
        assert_eq!(user("app:video").unwrap().groups, [44]);
        assert_eq!(
            user("app:9").unwrap(),
            User { uid: 1000, gid: 9, groups: vec![9], home: "/home/app".into() }
        );
        assert_eq!(user(":video").unwrap().gid, 44);
        let more = ["audio".to_owned(), "9".to_owned(), "root".to_owned()];
        assert_eq!(resolve("", &more, PASSWD, GROUP).unwrap().groups, [0, 29, 9]);
    }

    #[test]
    fn refuses_in_the_words_of_docker() {
        let text = |request: &str| user(request).unwrap_err().to_string();
        assert_eq!(text("foo"), "unable to find user foo: no matching entries in passwd file");
        assert_eq!(text("app:bar"), "unable to find group bar: no matching entries in group file");
        assert_eq!(text("-1"), "uids and gids must be in range 0-2147483647");
        assert_eq!(text("4294967296"), "uids and gids must be in range 0-2147483647");
    }
}
