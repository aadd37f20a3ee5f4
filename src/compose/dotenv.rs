//! Files of variables: `.env` and `env_file`, by the rules of compose-go.

use std::collections::BTreeMap;

use super::interpolate::{Lookup, Refusal, Seen, substitute};

/// Reads a file of variables. Values are completed from `lookup`, and else from earlier lines; a name alone
/// takes its value from `lookup`, or is left out.
pub(super) fn parse(text: &str, lookup: Lookup<'_>) -> Result<BTreeMap<String, String>, String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n");
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    let mut rest = text.as_str();
    let mut line = 1;
    loop {
        let before = rest;
        rest = rest.trim_start();
        line += before[..before.len() - rest.len()].matches('\n').count();
        if rest.is_empty() {
            return Ok(found);
        }
        if rest.starts_with('#') {
            rest = rest.find('\n').map_or("", |end| &rest[end..]);
            continue;
        }
        if let Some(after) = rest.strip_prefix("export")
            && after.starts_with([' ', '\t'])
        {
            rest = after.trim_start_matches([' ', '\t']);
        }
        let end = rest.find(['=', ':', '\n']).unwrap_or(rest.len());
        let key = rest[..end].trim();
        check_key(key, line)?;
        let sign = rest[end..].chars().next();
        if sign.is_none() || sign == Some('\n') {
            if let Some(value) = lookup(key) {
                found.insert(key.to_owned(), value);
            }
            rest = &rest[end..];
            continue;
        }
        let (value, after) = value(&rest[end + 1..], line, &found, lookup)?;
        line += rest[..rest.len() - after.len()].matches('\n').count();
        rest = after;
        found.insert(key.to_owned(), value);
    }
}

fn check_key(key: &str, line: usize) -> Result<(), String> {
    if key.contains(char::is_whitespace) {
        return Err(format!("line {line}: key cannot contain a space"));
    }
    let good = |c: char| c == '_' || c == '.' || c == '-' || c == '[' || c == ']' || c.is_alphanumeric();
    match key.chars().find(|c| !good(*c)) {
        Some(bad) => Err(format!("line {line}: unexpected character {bad:?} in variable name {key:?}")),
        None if key.is_empty() => Err(format!("line {line}: zero length string: a variable has no name")),
        None => Ok(()),
    }
}

/// Reads a value, and returns it with what follows it.
fn value<'a>(
    text: &'a str,
    line: usize,
    found: &BTreeMap<String, String>,
    lookup: Lookup<'_>,
) -> Result<(String, &'a str), String> {
    let text = text.trim_start_matches([' ', '\t']);
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '\''));
    let Some(quote) = quote else {
        let end = text.find('\n').unwrap_or(text.len());
        let raw = &text[..end];
        let raw = raw.find(" #").or_else(|| raw.find("\t#")).map_or(raw, |comment| &raw[..comment]);
        let raw = if raw.starts_with('#') { "" } else { raw };
        return Ok((complete(raw.trim(), line, found, lookup)?, &text[end..]));
    };
    let mut raw = String::new();
    let mut chars = text[1..].char_indices();
    while let Some((at, c)) = chars.next() {
        if c == quote {
            let after = &text[1 + at + 1..];
            // Only a comment may follow on the line.
            let end = after.find('\n').unwrap_or(after.len());
            let value = if quote == '"' { complete(&raw, line, found, lookup)? } else { raw };
            return Ok((value, &after[end..]));
        }
        if c != '\\' {
            raw.push(c);
            continue;
        }
        match (quote, chars.next()) {
            ('"', Some((_, escaped))) => match escaped {
                'n' => raw.push('\n'),
                'r' => raw.push('\r'),
                't' => raw.push('\t'),
                '"' | '\\' => raw.push(escaped),
                '$' => raw.push_str("$$"),
                other => raw.extend(['\\', other]),
            },
            (_, Some((_, '\''))) => raw.push('\''),
            (_, Some((_, other))) => raw.extend(['\\', other]),
            (_, None) => raw.push('\\'),
        }
    }
    let shown = text.lines().next().unwrap_or_default();
    Err(format!("line {line}: unterminated quoted value {shown}"))
}

fn complete(
    raw: &str,
    line: usize,
    found: &BTreeMap<String, String>,
    lookup: Lookup<'_>,
) -> Result<String, String> {
    if !raw.contains('$') {
        return Ok(raw.to_owned());
    }
    let both = |name: &str| lookup(name).or_else(|| found.get(name).cloned());
    substitute(raw, &both, &mut Seen::default()).map_err(|refusal| match refusal {
        Refusal::Invalid => format!("line {line}: invalid template: {raw:?}"),
        Refusal::Required(name, why) => {
            format!("line {line}: required variable {name} is missing a value: {why}")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> BTreeMap<String, String> {
        parse(text, &|name| (name == "HOST").then(|| "h".to_owned())).unwrap()
    }

    #[test]
    fn reads_values_as_compose_does() {
        let found = read(
            "# comment\nA=1\nexport B = two words # comment\nC='$A \\n'\nD=\"$A\\n${HOST}\"\nE=${A}x\n\nF=a#b\nG=\n\
             HOST\nGONE\nH: yaml\nI=\"one\ntwo\" # x\nJ='it\\'s'\nK=#c\nL=\"\\$A\"\r\nM=m\n",
        );
        for (name, value) in [
            ("A", "1"),
            ("B", "two words"),
            ("C", "$A \\n"),
            ("D", "1\nh"),
            ("E", "1x"),
            ("F", "a#b"),
            ("G", ""),
            ("HOST", "h"),
            ("H", "yaml"),
            ("I", "one\ntwo"),
            ("J", "it's"),
            ("K", ""),
            ("L", "$A"),
            ("M", "m"),
        ] {
            assert_eq!(found.get(name).map(String::as_str), Some(value), "{name}");
        }
        assert!(!found.contains_key("GONE"));
    }

    #[test]
    fn says_what_is_wrong_and_where() {
        let bad = |text: &str| parse(text, &|_| None).unwrap_err();
        assert_eq!(bad("A=1\nB='x\n"), "line 2: unterminated quoted value 'x");
        assert!(bad("A B=1\n").starts_with("line 1: key cannot contain a space"));
        assert!(bad("=1\n").starts_with("line 1: "));
        assert!(bad("A=${X:?no}\n").contains("required variable X is missing a value: no"));
    }
}
