//! Environment variables and labels: from flags, from files, from Docker's configuration.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result, anyhow, bail};

use crate::settings::DockerConfig;

/// Checks one `--env`.
pub(in crate::cli) fn parse_env(text: &str) -> Result<String, String> {
    let name = text.split('=').next().unwrap_or_default();
    if name.is_empty() {
        return Err(format!("invalid environment variable: {text}"));
    }
    Ok(text.to_owned())
}

/// Checks one `--label`.
pub(in crate::cli) fn parse_label(text: &str) -> Result<String, String> {
    let name = text.split('=').next().unwrap_or_default();
    if name.is_empty() {
        return Err(format!("invalid label '{text}': empty name"));
    }
    Ok(text.to_owned())
}

/// Puts together the variables of files and flags. One without a value takes that of `host`; where `host`
/// has none, a flag's takes the image's away.
pub(in crate::cli) fn environment(
    files: &[String],
    flags: &[String],
    host: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<String>> {
    let mut all = Vec::new();
    for path in files {
        for line in lines(path, "env")? {
            match (line.contains('='), host(&line)) {
                (true, _) => all.push(line),
                (false, Some(value)) => all.push(format!("{line}={value}")),
                (false, None) => {}
            }
        }
    }
    for flag in flags {
        match (flag.contains('='), host(flag)) {
            (false, Some(value)) => all.push(format!("{flag}={value}")),
            _ => all.push(flag.clone()),
        }
    }
    Ok(all)
}

/// Puts together the labels of files and flags.
pub(in crate::cli) fn labels(files: &[String], flags: &[String]) -> Result<BTreeMap<String, String>> {
    let mut all = BTreeMap::new();
    for path in files {
        for line in lines(path, "label")? {
            all.extend([pair(&line)]);
        }
    }
    all.extend(flags.iter().map(|flag| pair(flag)));
    Ok(all)
}

/// Splits `key=value`; the value may be missing.
pub(in crate::cli) fn pair(text: &str) -> (String, String) {
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    (key.to_owned(), value.to_owned())
}

/// Reads a file of `KEY=value` lines, with comments and empty lines left out.
fn lines(path: &str, kind: &str) -> Result<Vec<String>> {
    let bytes = fs::read(path).map_err(|error| super::open_error(path, &error))?;
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let mut found = Vec::new();
    for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let wrong = || format!("invalid {kind} file ({path})");
        let line = std::str::from_utf8(line)
            .map_err(|_| anyhow!("invalid utf8 bytes at line {}", index + 1))
            .with_context(wrong)?;
        let line = line.strip_suffix('\r').unwrap_or(line).trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let name = line.split('=').next().unwrap_or_default();
        if name.is_empty() {
            bail!("{}: no variable name on line '{line}'", wrong());
        }
        if name.contains(char::is_whitespace) {
            bail!("{}: variable '{name}' contains whitespaces", wrong());
        }
        found.push(line.to_owned());
    }
    Ok(found)
}

/// Adds the proxies of Docker's configuration to variables that do not name them: those for `host`, where the
/// daemon would be, or the default ones.
pub(in crate::cli) fn add_proxies(env: &mut Vec<String>, config: &DockerConfig, host: &str) {
    let Some(proxy) = config.proxies.get(host).or_else(|| config.proxies.get("default")) else { return };
    let given: Vec<String> =
        env.iter().map(|entry| entry.split('=').next().unwrap_or_default().to_owned()).collect();
    for (name, value) in [
        ("HTTP_PROXY", &proxy.http_proxy),
        ("HTTPS_PROXY", &proxy.https_proxy),
        ("NO_PROXY", &proxy.no_proxy),
        ("FTP_PROXY", &proxy.ftp_proxy),
        ("ALL_PROXY", &proxy.all_proxy),
    ] {
        // Each spelling stands for itself, as in Docker.
        for name in [name.to_owned(), name.to_ascii_lowercase()] {
            if !value.is_empty() && !given.contains(&name) {
                env.push(format!("{name}={value}"));
            }
        }
    }
}

/// Where Docker's client would look for its daemon: what `proxies` of its configuration go by.
pub(in crate::cli) fn daemon_host() -> String {
    match std::env::var("DOCKER_HOST") {
        Ok(host) if !host.is_empty() => host,
        _ => "unix:///var/run/docker.sock".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &[u8]) -> (tempfile::TempDir, String) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, text).unwrap();
        let path = path.to_str().unwrap().to_owned();
        (dir, path)
    }

    fn host(name: &str) -> Option<String> {
        (name == "HOME").then(|| "/h".to_owned())
    }

    #[test]
    fn reads_files_and_flags() {
        let (_dir, path) = file(b"\xef\xbb\xbfA=1\r\n\n# comment\n  B=x = y \nHOME\nNONE\n");
        let flags = ["C=".to_owned(), "HOME".to_owned(), "GONE".to_owned()];
        let env = environment(&[path], &flags, &host).unwrap();
        assert_eq!(env, ["A=1", "B=x = y ", "HOME=/h", "C=", "HOME=/h", "GONE"]);
    }

    #[test]
    fn refuses_bad_lines_in_dockers_words() {
        for (text, message) in [
            (&b"A B=1"[..], "variable 'A B' contains whitespaces"),
            (b" =1", "no variable name on line '=1'"),
            (b"A=1\n\xff=2", "invalid utf8 bytes at line 2"),
        ] {
            let (_dir, path) = file(text);
            let error = format!("{:#}", environment(std::slice::from_ref(&path), &[], &host).unwrap_err());
            assert_eq!(error, format!("invalid env file ({path}): {message}"));
        }
        let error = environment(&["/nowhere".to_owned()], &[], &host).unwrap_err().to_string();
        assert_eq!(error, "open /nowhere: no such file or directory");
        assert_eq!(parse_env("=a"), Err("invalid environment variable: =a".to_owned()));
        assert_eq!(parse_label("=a"), Err("invalid label '=a': empty name".to_owned()));
    }

    #[test]
    fn labels_of_flags_win() {
        let (_dir, path) = file(b"a=1\nb\n");
        let labels = labels(&[path], &["a=2=3".to_owned()]).unwrap();
        assert_eq!(labels, [("a", "2=3"), ("b", "")].map(|(k, v)| (k.to_owned(), v.to_owned())).into());
    }

    #[test]
    fn proxies_do_not_override() {
        let proxy = crate::settings::Proxy {
            http_proxy: "http://p".into(),
            no_proxy: "local".into(),
            ..Default::default()
        };
        let config =
            DockerConfig { proxies: [("default".to_owned(), proxy)].into(), ..DockerConfig::default() };
        let mut env = vec!["http_proxy=".to_owned()];
        add_proxies(&mut env, &config, "unix:///x");
        assert_eq!(env, ["http_proxy=", "HTTP_PROXY=http://p", "NO_PROXY=local", "no_proxy=local"]);
        let other = crate::settings::Proxy { ftp_proxy: "http://f".into(), ..Default::default() };
        let config = DockerConfig { proxies: [("tcp://h".to_owned(), other)].into(), ..config };
        let mut env = Vec::new();
        add_proxies(&mut env, &config, "tcp://h");
        assert_eq!(env, ["FTP_PROXY=http://f", "ftp_proxy=http://f"]);
        add_proxies(&mut env, &config, "tcp://other");
        assert_eq!(env.len(), 2, "no default");
    }
}
