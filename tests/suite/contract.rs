//! The output contract: what the genuine docker (client 28, daemon 26) writes for a command line, one row each, and
//! its exit code. `tests/fixtures/contract` has the rows; where coracle is to differ, a row says why.
//!
//! Ids, times, sizes and addresses are no part of it, nor is how wide a column is: both sides are brought into one
//! form first.

use std::fs;

use crate::support::harness::{Test, tests};
use crate::support::{Layer, Sandbox};

pub(crate) const TESTS: &[Test] = tests![
    listings_formats_and_filters,
    errors_of_what_is_asked_for,
    management_commands_and_arguments,
    options_of_containers,
    one_after_the_other
];

fn listings_formats_and_filters() {
    check("listings");
}

fn errors_of_what_is_asked_for() {
    check("errors");
}

fn management_commands_and_arguments() {
    check("commands");
}

fn options_of_containers() {
    check("options");
}

/// The rows of this one change the world, and build on each other.
fn one_after_the_other() {
    check("upkeep");
}

/// One row: a command line, and what it gives.
#[derive(Debug, Default)]
struct Line {
    command: String,
    code: i32,
    out: String,
    err: String,
}

/// A world with a running, an ended, a created and a paused container, a volume and a network.
fn world() -> Sandbox {
    let sandbox = Sandbox::new();
    let docker = |words: &[&str]| sandbox.command(words).called("docker");
    docker(&[
        "import",
        "-c",
        "CMD [\"sleep\",\"1000\"]",
        "-c",
        "ENV A=1",
        "-c",
        "LABEL l=1",
        "-c",
        "EXPOSE 80",
        "-",
        "bb:1",
    ])
    .stdin(Layer::base().tar())
    .run()
    .success();
    for (line, code) in [
        ("network create net1", 0),
        ("volume create vol", 0),
        ("run -d --name web --network none -l tier=x -l app=web -v vol:/data bb:1 sleep 100000", 0),
        ("run --name done --network none bb:1 sh -c 'echo out; echo err >&2; exit 3'", 3),
        ("create --name made --network none bb:1 true", 0),
        ("run -d --name box --network none bb:1 sleep 100000", 0),
        ("pause box", 0),
    ] {
        sandbox.command(words(line)).called("docker").run().code(code);
    }
    sandbox
}

fn check(name: &str) {
    let path = format!("{}/tests/fixtures/contract/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    let lines = read(&fs::read_to_string(&path).unwrap());
    assert!(lines.len() > 50, "{path}: {} rows", lines.len());
    let sandbox = world();
    let mut wrong = Vec::new();
    for line in &lines {
        let outcome = sandbox.command(words(&line.command)[1..].iter()).called("docker").run();
        let shown = |bytes: &[u8]| plain(&String::from_utf8_lossy(bytes));
        let (out, err) = (shown(&outcome.out), shown(&outcome.err));
        if (outcome.code, &out, &err) != (Some(line.code), &line.out, &line.err) {
            wrong.push(format!(
                "{}\n  expected: {line:?}\n  got:      {:?} {out:?} {err:?}",
                line.command, outcome.code
            ));
        }
    }
    assert!(wrong.is_empty(), "{} of {} rows:\n{}", wrong.len(), lines.len(), wrong.join("\n"));
}

/// Reads rows: `$ command`, `= code`, `> a line of output`, `! a line of errors`, `# why it is not Docker's`.
fn read(text: &str) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for row in text.lines() {
        let (mark, rest) = (row.chars().next(), row.get(2..).unwrap_or_default());
        if mark == Some('$') {
            lines.push(Line { command: rest.to_owned(), ..Line::default() });
        }
        let Some(line) = lines.last_mut() else { continue };
        match mark {
            Some('=') => line.code = rest.parse().unwrap(),
            Some('>') => line.out.extend([rest, "\n"]),
            Some('!') => line.err.extend([rest, "\n"]),
            _ => {}
        }
    }
    lines
}

/// Splits a command line as a shell would that knows single quotes only.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![];
    let mut word: Option<String> = None;
    let mut quoted = false;
    for letter in line.chars() {
        match letter {
            '\'' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            ' ' if !quoted => words.extend(word.take()),
            letter => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}

/// Brings a text into the form of the rows.
fn plain(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let inside = out.ends_with(|last: char| last.is_alphanumeric() || last == '_');
        let found = if inside { None } else { token(rest, out.ends_with("sha256:")) };
        if let Some((length, name)) = found {
            out.push_str(name);
            rest = &rest[length..];
        } else {
            // Columns are as wide as what is in them.
            if !(letter == ' ' && out.ends_with("  ")) {
                out.push(letter);
            }
            rest = &rest[letter.len_utf8()..];
        }
    }
    // A last newline that is missing is not what a row tells.
    if !out.is_empty() && !out.ends_with('\n') {
        out.push('\n');
    }
    out
}

/// Finds what is never the same twice at the front of a text: its length, and its name.
fn token(text: &str, digest: bool) -> Option<(usize, &'static str)> {
    let ends =
        |length: usize| !text[length..].starts_with(|next: char| next.is_alphanumeric() || next == '_');
    let hex = text.bytes().take_while(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')).count();
    if ends(hex) && hex == 64 {
        return Some((hex, if digest { "<ID>" } else { "<ID64>" }));
    }
    if ends(hex) && hex == 12 && text[..12].bytes().any(|byte| byte.is_ascii_digit()) {
        return Some((hex, "<ID12>"));
    }
    // `2026-01-01 00:00:00 +0000 UTC`
    let shape: String = text.chars().take(29).map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    if shape == "0000-00-00 00:00:00 +0000 UTC" {
        return Some((29, "<TIME>"));
    }
    if let Some(length) = ago(text) {
        return Some((length, "<AGO>"));
    }
    let number = text.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count();
    if number == 0 {
        return None;
    }
    let unit = text[number..].strip_prefix(' ').unwrap_or(&text[number..]);
    let skipped = text.len() - unit.len();
    let units = ["KiB", "MiB", "GiB", "kB", "MB", "GB", "B"];
    if let Some(unit) =
        units.iter().find(|word| unit.starts_with(**word)).filter(|word| ends(skipped + word.len()))
    {
        return Some((skipped + unit.len(), "<SIZE>"));
    }
    let parts: Vec<&str> = text[..number].split('.').collect();
    if parts.len() == 4 && parts.iter().all(|part| !part.is_empty()) {
        let after = &text[number..];
        let bits =
            after.strip_prefix('/').map_or(0, |bits| bits.bytes().take_while(u8::is_ascii_digit).count());
        return Some((number + if bits > 0 { bits + 1 } else { 0 }, "<IP>"));
    }
    None
}

/// Finds a time as it is told from now at the front of a text.
fn ago(text: &str) -> Option<usize> {
    let words = ["Less than a second", "About a minute", "About an hour"];
    let length = words.iter().find(|word| text.starts_with(**word)).map(|word| word.len()).or_else(|| {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let unit = text[digits..].strip_prefix(' ').filter(|_| digits > 0)?;
        let word = ["second", "minute", "hour", "day"].into_iter().find(|word| unit.starts_with(word))?;
        let plural = usize::from(unit[word.len()..].starts_with('s'));
        Some(digits + 1 + word.len() + plural)
    })?;
    Some(length + if text[length..].starts_with(" ago") { 4 } else { 0 })
}
