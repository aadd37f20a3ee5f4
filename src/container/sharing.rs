//! With whom a container shares its namespaces: what was asked for, in Docker's words.

use serde::{Deserialize, Serialize};

use crate::idmap::Kept;

/// The namespaces of a container, but for its network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sharing {
    /// `--pid`
    pub pid: PidMode,
    /// `--ipc`
    pub ipc: IpcMode,
    /// `--uts host`
    pub host_uts: bool,
    /// `--userns host`; container root is the user all the same, since nobody without privileges can do
    /// without a user namespace.
    pub host_users: bool,
    /// `--userns keep-id`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_id: Option<KeepId>,
    /// `--cgroupns host`
    pub host_cgroups: bool,
}

/// A container in which the user is no root: `--userns keep-id`, as podman has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeepId {
    /// The ids that the user has inside.
    #[serde(flatten)]
    pub ids: Kept,
    /// What was asked for.
    pub word: String,
}

impl KeepId {
    /// Reads `keep-id` or `keep-id:uid=…,gid=…`, for a user who has the ids `own`; `None` if it is neither.
    pub fn parse(text: &str, own: Kept) -> Result<Option<Self>, String> {
        let Some(options) = text.strip_prefix("keep-id") else { return Ok(None) };
        let mut ids = own;
        match options.strip_prefix(':') {
            Some("") => {}
            Some(options) => {
                for option in options.split(',') {
                    let (key, value) = option.split_once('=').unwrap_or((option, ""));
                    let place = match key {
                        "uid" => &mut ids.uid,
                        "gid" => &mut ids.gid,
                        _ => return Err(format!("unknown option specified: {key:?}")),
                    };
                    *place = value.parse().map_err(|_| format!("{key} is no id: {value:?}"))?;
                }
            }
            None if options.is_empty() => {}
            None => return Ok(None),
        }
        Ok(Some(Self { ids, word: text.to_owned() }))
    }

    /// Returns the user that a container's process is when nobody says another.
    pub fn user(&self) -> String {
        format!("{}:{}", self.ids.uid, self.ids.gid)
    }
}

/// Whose processes a container sees.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PidMode {
    /// Its own.
    #[default]
    Private,
    /// The host's.
    Host,
    /// Those of another container, by its id.
    Container(String),
}

/// Whose queues, semaphores and shared memory a container sees.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IpcMode {
    /// Its own.
    #[default]
    Private,
    /// Its own, without `/dev/shm`.
    None,
    /// Its own, which others may join.
    Shareable,
    /// The host's.
    Host,
    /// Those of another container, by its id.
    Container(String),
}

impl Sharing {
    /// Returns the ids that the user keeps inside.
    pub fn kept(&self) -> Option<Kept> {
        self.keep_id.as_ref().map(|keep| keep.ids)
    }

    /// Returns Docker's or podman's word for whose users the container has.
    pub fn users_word(&self) -> &str {
        match &self.keep_id {
            Some(keep) => &keep.word,
            None if self.host_users => "host",
            None => "",
        }
    }

    /// Tells whether the container's processes die with its first one: it is the first of its pid namespace.
    pub fn dies_as_one(&self) -> bool {
        self.pid == PidMode::Private
    }
}

impl PidMode {
    /// Returns Docker's word for it.
    pub fn word(&self) -> String {
        match self {
            Self::Private => String::new(),
            Self::Host => "host".to_owned(),
            Self::Container(id) => format!("container:{id}"),
        }
    }
}

impl IpcMode {
    /// Returns Docker's word for it.
    pub fn word(&self) -> String {
        match self {
            Self::Private => "private".to_owned(),
            Self::None => "none".to_owned(),
            Self::Shareable => "shareable".to_owned(),
            Self::Host => "host".to_owned(),
            Self::Container(id) => format!("container:{id}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_is_kept() {
        let own = Kept { uid: 1000, gid: 100 };
        let ids = |text: &str| KeepId::parse(text, own).map(|keep| keep.map(|keep| keep.user()));
        assert_eq!(ids("keep-id"), Ok(Some("1000:100".to_owned())));
        assert_eq!(ids("keep-id:"), Ok(Some("1000:100".to_owned())));
        assert_eq!(ids("keep-id:gid=7"), Ok(Some("1000:7".to_owned())));
        assert_eq!(ids("keep-id:uid=5,gid=6"), Ok(Some("5:6".to_owned())));
        assert_eq!(ids("host"), Ok(None));
        assert_eq!(ids("keep-ids"), Ok(None));
        for wrong in ["keep-id:size=5", "keep-id:uid=x", "keep-id:uid", "keep-id:uid=-1", "keep-id:uid=5,"] {
            ids(wrong).unwrap_err();
        }
    }

    #[test]
    fn older_records_keep_nothing() {
        let old = r#"{"pid":"private","host_users":true}"#;
        let sharing: Sharing = serde_json::from_str(old).unwrap();
        assert_eq!((sharing.kept(), sharing.users_word()), (None, "host"));
        let text = serde_json::to_string(&sharing).unwrap();
        assert!(!text.contains("keep_id"), "{text}");
        let keep = KeepId { ids: Kept { uid: 5, gid: 6 }, word: "keep-id:uid=5".into() };
        let sharing = Sharing { keep_id: Some(keep), ..Sharing::default() };
        let text = serde_json::to_string(&sharing).unwrap();
        assert_eq!(serde_json::from_str::<Sharing>(&text).unwrap(), sharing);
    }
}
