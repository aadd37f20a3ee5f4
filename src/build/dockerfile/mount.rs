//! The values of `RUN --mount`.

use super::fault::{Fault, suggestion};

const KEYS: &[&str] = &[
    "type",
    "from",
    "source",
    "target",
    "readonly",
    "id",
    "sharing",
    "required",
    "size",
    "mode",
    "uid",
    "gid",
    "src",
    "dst",
    "destination",
    "ro",
    "rw",
    "readwrite",
    "env",
];

/// What is mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MountType {
    /// Files of the context or a stage.
    #[default]
    Bind,
    /// A directory that stays.
    Cache,
    /// Memory.
    Tmpfs,
    /// A secret.
    Secret,
    /// An agent's socket.
    Ssh,
}

impl MountType {
    fn name(self) -> &'static str {
        match self {
            Self::Bind => "bind",
            Self::Cache => "cache",
            Self::Tmpfs => "tmpfs",
            Self::Secret => "secret",
            Self::Ssh => "ssh",
        }
    }
}

/// A mount as it is written, variables replaced.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MountFlag {
    /// What is mounted.
    pub kind: MountType,
    /// From which stage or image.
    pub from: String,
    /// Which files of it.
    pub source: String,
    /// Where.
    pub target: String,
    /// Whether it cannot be written.
    pub read_only: bool,
    /// The size of memory.
    pub size: Option<u64>,
    /// Its name.
    pub id: String,
    /// `shared`, `private` or `locked`.
    pub sharing: Option<String>,
    /// Whether it is an error that there is none.
    pub required: bool,
    /// The variable of a secret.
    pub env: Option<String>,
    /// The mode.
    pub mode: Option<u32>,
    /// The owner.
    pub uid: Option<u32>,
    /// The group.
    pub gid: Option<u32>,
}

/// Checks what can be checked before variables are replaced.
pub(super) fn check(value: &str) -> Result<(), Fault> {
    for field in fields(value)? {
        if let Some((key, value)) = field.split_once('=') {
            let variable = value.find('$').is_some_and(|at| at + 1 != value.len());
            if key.eq_ignore_ascii_case("from") && variable {
                let message = format!(
                    "'{}' doesn't support variable expansion, define alias stage instead",
                    key.to_lowercase()
                );
                return Err(Fault::new(message).about(&field));
            }
        }
    }
    Ok(())
}

/// Returns the stage or image that a mount takes files from, before variables are replaced.
pub fn origin(value: &str) -> Option<String> {
    let fields = fields(value).ok()?;
    fields.iter().find_map(|field| {
        let (key, value) = field.split_once('=')?;
        (key.eq_ignore_ascii_case("from") && !value.is_empty()).then(|| value.to_owned())
    })
}

/// Reads a mount, with `expand` to replace variables.
pub fn parse(value: &str, mut expand: impl FnMut(&str) -> Result<String, Fault>) -> Result<MountFlag, Fault> {
    let mut mount = MountFlag::default();
    let mut read_only = None;
    for field in fields(value)? {
        let fault = |message: String| Fault::new(message).about(&field);
        let (key, value) = match field.split_once('=') {
            Some((key, value)) => (key.to_ascii_lowercase(), Some(expand(value)?)),
            None => (field.to_ascii_lowercase(), None),
        };
        let holds_keys = matches!(mount.kind, MountType::Secret | MountType::Ssh);
        let unexpected = || fault(format!("unexpected key '{key}' for mount type '{}'", mount.kind.name()));
        let Some(value) = value else {
            match key.as_str() {
                "readonly" | "ro" => read_only = Some(true),
                "readwrite" | "rw" => read_only = Some(false),
                "required" if holds_keys => mount.required = true,
                "required" => return Err(unexpected()),
                _ => return Err(fault(format!("invalid field '{field}' must be a key=value pair"))),
            }
            continue;
        };
        let invalid = || fault(format!("invalid value for {key}: {value}"));
        let number = |radix| {
            u32::from_str_radix(&value, radix).map_err(|_| fault(format!("invalid value {value} for {key}")))
        };
        match key.as_str() {
            "type" => {
                mount.kind = match value.to_ascii_lowercase().as_str() {
                    "bind" => MountType::Bind,
                    "cache" => MountType::Cache,
                    "tmpfs" => MountType::Tmpfs,
                    "secret" => MountType::Secret,
                    "ssh" => MountType::Ssh,
                    _ => {
                        let guess = suggestion(&value, ["bind", "cache", "tmpfs", "secret", "ssh"], true);
                        return Err(fault(format!("unsupported mount type {value:?}{guess}")));
                    }
                }
            }
            "from" => mount.from = value,
            "source" | "src" => mount.source = value,
            "target" | "dst" | "destination" => mount.target = value,
            "readonly" | "ro" => read_only = Some(truth(&value).ok_or_else(invalid)?),
            "readwrite" | "rw" => read_only = Some(!truth(&value).ok_or_else(invalid)?),
            "required" if holds_keys => mount.required = truth(&value).ok_or_else(invalid)?,
            "size" if mount.kind == MountType::Tmpfs => {
                mount.size = Some(bytes(&value).ok_or_else(invalid)?);
            }
            "required" | "size" => return Err(unexpected()),
            "id" => mount.id = value,
            "sharing" => {
                let lower = value.to_ascii_lowercase();
                if !matches!(lower.as_str(), "shared" | "private" | "locked") {
                    let guess = suggestion(&value, ["shared", "private", "locked"], true);
                    return Err(fault(format!("unsupported sharing value {value:?}{guess}")));
                }
                mount.sharing = Some(lower);
            }
            "mode" => mount.mode = Some(number(8)?),
            "uid" => mount.uid = Some(number(10)?),
            "gid" => mount.gid = Some(number(10)?),
            "env" => mount.env = Some(value),
            _ => {
                let guess = suggestion(&key, KEYS.iter().copied(), true);
                return Err(fault(format!("unexpected key '{key}' in '{field}'{guess}")));
            }
        }
    }
    let name = mount.kind.name();
    if matches!(mount.kind, MountType::Bind | MountType::Tmpfs) {
        for (key, given) in
            [("mode", mount.mode.is_some()), ("uid", mount.uid.is_some()), ("gid", mount.gid.is_some())]
        {
            if given {
                return Err(Fault::new(format!("{key} not allowed for {name:?} type mounts")).about(key));
            }
        }
    }
    mount.read_only = read_only.unwrap_or(!matches!(mount.kind, MountType::Cache | MountType::Tmpfs));
    if mount.kind == MountType::Secret {
        let wrong = if !mount.from.is_empty() {
            Some("secret mount should not have a from")
        } else if mount.sharing.is_some() {
            Some("secret mount should not define sharing")
        } else if mount.source.is_empty() && mount.target.is_empty() && mount.id.is_empty() {
            Some("invalid secret mount. one of source, target required")
        } else if !mount.source.is_empty() && !mount.id.is_empty() {
            Some("both source and id can't be set")
        } else {
            None
        };
        if let Some(wrong) = wrong {
            return Err(Fault::new(wrong).about(value));
        }
    }
    if mount.sharing.is_some() && mount.kind != MountType::Cache {
        return Err(Fault::new(format!("invalid cache sharing set for {name} mount")).about("sharing"));
    }
    Ok(mount)
}

/// Splits at commas outside of quotes, as a line of CSV.
fn fields(value: &str) -> Result<Vec<String>, Fault> {
    let bad = || Fault::new("failed to parse csv mounts: parse error").about(value);
    let mut fields = Vec::new();
    let mut rest = value;
    if rest.is_empty() {
        return Ok(fields);
    }
    loop {
        if let Some(quoted) = rest.strip_prefix('"') {
            let mut field = String::new();
            let mut chars = quoted.char_indices().peekable();
            let mut end = None;
            while let Some((at, c)) = chars.next() {
                if c != '"' {
                    field.push(c);
                } else if chars.next_if(|(_, next)| *next == '"').is_some() {
                    field.push('"');
                } else {
                    end = Some(at + 1);
                    break;
                }
            }
            fields.push(field);
            match &quoted[end.ok_or_else(bad)?..] {
                "" => return Ok(fields),
                more => rest = more.strip_prefix(',').ok_or_else(bad)?,
            }
        } else if let Some((field, more)) = rest.split_once(',') {
            fields.push(field.to_owned());
            rest = more;
        } else {
            fields.push(rest.to_owned());
            return Ok(fields);
        }
    }
}

/// Reads a truth as Go does.
fn truth(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// Reads a size with a binary unit: `64m`.
fn bytes(text: &str) -> Option<u64> {
    let lower = text.trim().to_ascii_lowercase();
    let end = lower.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(lower.len());
    let number: f64 = lower[..end].parse().ok()?;
    let power = match lower[end..].trim_start() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 1,
        "m" | "mb" | "mib" => 2,
        "g" | "gb" | "gib" => 3,
        "t" | "tb" | "tib" => 4,
        "p" | "pb" | "pib" => 5,
        _ => return None,
    };
    let size = number * 1024_f64.powi(power);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked")]
    (0.0..9e18).contains(&size).then_some(size as u64)
}
