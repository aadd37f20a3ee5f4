//! Dockerfile instructions that change an image's configuration: `import --change`.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use serde_json::Value;

use super::config::Defaults;

/// Carries out one instruction, such as `CMD ["sh"]` or `ENV A=b`.
pub fn change(config: &mut Defaults, text: &str) -> Result<()> {
    let text = text.trim();
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let rest = rest.trim();
    let instruction = word.to_ascii_uppercase();
    let known = matches!(
        instruction.as_str(),
        "CMD"
            | "ENTRYPOINT"
            | "ENV"
            | "EXPOSE"
            | "HEALTHCHECK"
            | "LABEL"
            | "ONBUILD"
            | "STOPSIGNAL"
            | "USER"
            | "VOLUME"
            | "WORKDIR"
    );
    if !known {
        bail!("{word} is not a valid change command");
    }
    if rest.is_empty() && !matches!(instruction.as_str(), "CMD" | "ENTRYPOINT") {
        bail!("{instruction} requires at least one argument");
    }
    match instruction.as_str() {
        "CMD" => config.cmd = Some(command(config, rest)),
        "ENTRYPOINT" => config.entrypoint = Some(command(config, rest)),
        "ENV" => {
            for (key, value) in pairs(&instruction, rest)? {
                let setting = format!("{key}={value}");
                match config.env.iter_mut().find(|known| known.split('=').next() == Some(&key)) {
                    Some(known) => *known = setting,
                    None => config.env.push(setting),
                }
            }
        }
        "LABEL" => config.labels.extend(pairs(&instruction, rest)?),
        "EXPOSE" => {
            for port in words(rest)? {
                for port in ports(&port)? {
                    config.exposed_ports.insert(port, empty());
                }
            }
        }
        "VOLUME" => {
            let paths = match list(rest) {
                Some(paths) => paths,
                None => words(rest)?,
            };
            for path in paths {
                if path.trim().is_empty() {
                    bail!("VOLUME specified can not be an empty string");
                }
                config.volumes.insert(path, empty());
            }
        }
        "USER" => config.user = one(&instruction, rest)?,
        "WORKDIR" => {
            let path = one(&instruction, rest)?;
            config.working_dir = if path.starts_with('/') {
                path
            } else {
                format!("{}/{path}", config.working_dir.trim_end_matches('/'))
            };
            if !config.working_dir.starts_with('/') {
                config.working_dir.insert(0, '/');
            }
        }
        "STOPSIGNAL" => config.stop_signal = one(&instruction, rest)?,
        "HEALTHCHECK" => config.healthcheck = Some(healthcheck(rest)?),
        _ => {
            let trigger = rest.split_whitespace().next().unwrap_or("").to_ascii_uppercase();
            if matches!(trigger.as_str(), "ONBUILD" | "FROM" | "MAINTAINER") {
                bail!("{trigger} isn't allowed as an ONBUILD trigger");
            }
            config.on_build.push(rest.to_owned());
        }
    }
    Ok(())
}

fn empty() -> Value {
    Value::Object(serde_json::Map::new())
}

/// Reads the JSON form: a list of strings.
fn list(text: &str) -> Option<Vec<String>> {
    if text.starts_with('[') { serde_json::from_str(text).ok() } else { None }
}

fn command(config: &Defaults, text: &str) -> Vec<String> {
    list(text).unwrap_or_else(|| {
        let shell = config.shell.clone().unwrap_or_else(|| vec!["/bin/sh".to_owned(), "-c".to_owned()]);
        shell.into_iter().chain([text.to_owned()]).collect()
    })
}

fn one(instruction: &str, text: &str) -> Result<String> {
    match words(text)?.as_slice() {
        [word] => Ok(word.clone()),
        _ => bail!("{instruction} requires exactly one argument"),
    }
}

/// Splits at blanks outside of quotes, and takes quotes and backslashes away.
fn words(text: &str) -> Result<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            (Some('\''), '\'') | (Some('"'), '"') => quote = None,
            (None, '\'' | '"') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None | Some('"'), '\\') => word.get_or_insert_default().extend(letters.next()),
            (None, blank) if blank.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(letter),
        }
    }
    if quote.is_some() {
        bail!("unexpected end of statement while looking for matching quote");
    }
    words.extend(word);
    Ok(words)
}

/// Reads `KEY=value …`, or the old form `KEY value with blanks`.
fn pairs(instruction: &str, text: &str) -> Result<BTreeMap<String, String>> {
    let first = text.split_whitespace().next().unwrap_or("");
    if !first.contains('=') {
        let Some((key, value)) = text.split_once(char::is_whitespace) else {
            bail!("{instruction} must have two arguments");
        };
        return Ok([(key.to_owned(), value.trim().to_owned())].into());
    }
    words(text)?
        .into_iter()
        .map(|word| match word.split_once('=') {
            Some(("", _)) => bail!("{instruction} names can not be blank"),
            Some((key, value)) => Ok((key.to_owned(), value.to_owned())),
            None => bail!("Syntax error - can't find = in \"{word}\". Must be of the form: name=value"),
        })
        .collect()
}

/// Reads `80`, `80/udp` or `8000-8010/tcp`.
fn ports(text: &str) -> Result<Vec<String>> {
    let (range, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = protocol.to_ascii_lowercase();
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        bail!("invalid proto: {protocol}");
    }
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    match (first.parse::<u16>(), last.parse::<u16>()) {
        (Ok(first), Ok(last)) if first <= last => {
            Ok((first..=last).map(|port| format!("{port}/{protocol}")).collect())
        }
        _ => bail!("invalid containerPort: {range}"),
    }
}

/// Reads `NONE`, or `[--interval=D --timeout=D --start-period=D --start-interval=D --retries=N] CMD …`.
fn healthcheck(text: &str) -> Result<Value> {
    let mut check = serde_json::Map::new();
    let mut rest = text;
    while let Some(option) = rest.split_whitespace().next().filter(|word| word.starts_with("--")) {
        let (key, value) = option.split_once('=').unwrap_or((option, ""));
        let number = || match key {
            "--retries" => value.parse().ok(),
            _ => duration(value),
        };
        let key = match key {
            "--interval" => "Interval",
            "--timeout" => "Timeout",
            "--start-period" => "StartPeriod",
            "--start-interval" => "StartInterval",
            "--retries" => "Retries",
            _ => bail!("unknown flag: {}", key.trim_start_matches('-')),
        };
        let Some(number) = number() else { bail!("invalid value {value:?} of {option}") };
        check.insert(key.to_owned(), number.into());
        rest = rest[option.len()..].trim_start();
    }
    let (kind, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let test = match kind.to_ascii_uppercase().as_str() {
        "NONE" => vec!["NONE".to_owned()],
        "CMD" if rest.trim().is_empty() => bail!("Missing command after HEALTHCHECK CMD"),
        "CMD" => match list(rest.trim()) {
            Some(arguments) => ["CMD".to_owned()].into_iter().chain(arguments).collect(),
            None => vec!["CMD-SHELL".to_owned(), rest.trim().to_owned()],
        },
        other => bail!("Unknown type \"{other}\" in HEALTHCHECK (try CMD)"),
    };
    check.insert("Test".to_owned(), test.into());
    Ok(Value::Object(check))
}

/// Reads a duration as Go writes it (`1m30s`), in nanoseconds.
fn duration(text: &str) -> Option<i64> {
    if text.is_empty() {
        return None;
    }
    let mut total = 0f64;
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..end].parse().ok()?;
        rest = &rest[end..];
        let (unit, nanoseconds) =
            [("ns", 1e0), ("us", 1e3), ("µs", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 60e9), ("h", 3600e9)]
                .into_iter()
                .find(|(unit, _)| rest.starts_with(unit))?;
        total += number * nanoseconds;
        rest = &rest[unit.len()..];
    }
    // Go's durations end at 290 years; the product is exact far beyond what anybody writes.
    #[allow(clippy::cast_possible_truncation, reason = "the bound is checked")]
    (total < 9e18).then_some(total as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn carries_out_instructions() {
        let mut config = Defaults::default();
        for text in [
            "CMD [\"sh\", \"-l\"]",
            "entrypoint echo hi",
            "ENV A=b C='d e' F=\\\"",
            "ENV A second value",
            "EXPOSE 80 90-91/udp",
            "LABEL x.y=\"1 2\"",
            "USER app",
            "VOLUME /a /b",
            "VOLUME [\"/c d\"]",
            "WORKDIR /srv",
            "WORKDIR app",
            "STOPSIGNAL SIGQUIT",
            "HEALTHCHECK --interval=1m30s --retries=2 CMD true",
            "ONBUILD RUN true",
        ] {
            change(&mut config, text).unwrap();
        }
        let expected = serde_json::json!({
            "User": "app", "ExposedPorts": {"80/tcp": {}, "90/udp": {}, "91/udp": {}},
            "Env": ["A=second value", "C=d e", "F=\""], "Entrypoint": ["/bin/sh", "-c", "echo hi"],
            "Cmd": ["sh", "-l"], "Volumes": {"/a": {}, "/b": {}, "/c d": {}}, "WorkingDir": "/srv/app",
            "Healthcheck": {"Interval": 90_000_000_000i64, "Retries": 2, "Test": ["CMD-SHELL", "true"]},
            "OnBuild": ["RUN true"], "Labels": {"x.y": "1 2"}, "StopSignal": "SIGQUIT"
        });
        assert_eq!(serde_json::to_value(&config).unwrap(), expected);
    }

    #[test]
    fn refuses() {
        for (text, expected) in [
            ("RUN x", "RUN is not a valid change command"),
            ("ENV A", "ENV must have two arguments"),
            ("EXPOSE x", "invalid containerPort: x"),
            ("EXPOSE 90-80", "invalid containerPort: 90-80"),
            ("USER", "USER requires at least one argument"),
            ("HEALTHCHECK --interval=x CMD true", "invalid value"),
            ("LABEL a='b", "matching quote"),
        ] {
            let error = change(&mut Defaults::default(), text).unwrap_err();
            assert!(error.to_string().contains(expected), "{text}: {error}");
        }
    }
}
