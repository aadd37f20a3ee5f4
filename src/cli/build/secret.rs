//! `--secret`.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result, bail};

use super::csv::Fields;

/// The largest secret.
const SECRET_MAX: usize = 500 << 10;

/// Reads `id=name[,src=file|,env=VARIABLE]`.
pub(super) fn secrets(texts: &[String]) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut secrets = BTreeMap::new();
    for text in texts {
        let fields = Fields::parse(text).context("failed to parse csv secret")?;
        if let Some(bare) = fields.bare() {
            bail!("invalid field '{bare}' must be a key=value pair");
        }
        let kind = fields.get("type").unwrap_or_default();
        if !matches!(kind, "" | "file" | "env") {
            bail!("unsupported secret type {kind:?}");
        }
        let Some(id) = fields.get("id").filter(|id| !id.is_empty()) else {
            bail!("secret missing ID: {text}");
        };
        let source = fields.any(&["src", "source"]);
        let variable = match (fields.get("env"), source) {
            (Some(name), _) => Some(name),
            (None, Some(name)) if kind == "env" => Some(name),
            (None, None) if kind != "file" && std::env::var_os(id).is_some() => Some(id),
            _ => None,
        };
        let value = if let Some(name) = variable {
            std::env::var(name).unwrap_or_default().into_bytes()
        } else {
            let path = source.unwrap_or(id);
            fs::read(path).with_context(|| format!("failed to stat {path}"))?
        };
        if value.len() > SECRET_MAX {
            bail!("secret {id} too big. max size 500KB");
        }
        secrets.insert(id.to_owned(), value);
    }
    Ok(secrets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_secrets() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        fs::write(&path, "hidden").unwrap();
        let read = |text: String| secrets(&[text]);
        let found = read(format!("id=a,src={}", path.display())).unwrap();
        assert_eq!(found["a"], b"hidden");
        assert_eq!(read("id=PATH".to_owned()).unwrap()["PATH"], std::env::var("PATH").unwrap().into_bytes());
        for bad in ["src=x", "id=a,src=/not/there", "id", "id=a,type=x"] {
            assert!(read(bad.to_owned()).is_err(), "{bad}");
        }
    }
}
