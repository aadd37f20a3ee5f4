//! Which files of a context are left out: the patterns of `.dockerignore`, with the meaning moby's
//! `patternmatcher` gives them.
//!
//! Patterns are tried in their order, and the last one that matches decides; `!` takes back. A pattern that
//! matches a directory matches all that is below it. What a pattern said of a directory holds for what is below,
//! so a path is judged from its root down, and a walk hands [`Verdict`]s on from a directory to its entries.
//!
//! The wildcards are those of Go's `filepath.Match` (`*`, `?`, `[a-z]`, `\`), and `**` for any number of
//! directories. A pattern is anchored at the root, except after `**/`.

use std::fmt;

/// A list of patterns.
#[derive(Debug, Clone, Default)]
pub struct Ignore {
    patterns: Vec<Pattern>,
    /// Whether any of them takes back what another left out.
    exceptions: bool,
}

/// A pattern that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPattern {
    /// A `!` with nothing behind it.
    #[error("illegal exclusion pattern: \"!\"")]
    Lone,
    /// An open bracket, a range without an end, a backslash at the end.
    #[error("syntax error in pattern")]
    Syntax(String),
}

/// What the patterns say of one path, to be handed to the paths below it.
#[derive(Debug, Clone, Default)]
pub struct Verdict {
    /// Whether the path is left out.
    pub excluded: bool,
    /// Which patterns matched it or a directory above.
    matched: Vec<bool>,
}

/// One pattern.
#[derive(Clone)]
struct Pattern {
    /// As written, without `!` and in its shortest form.
    text: String,
    exception: bool,
    form: Form,
}

/// How a pattern is matched: most need no automaton.
#[derive(Debug, Clone)]
enum Form {
    /// The text itself.
    Exact,
    /// What begins with the text but for the `**` at its end.
    Prefix,
    /// What ends with the text but for the `**` at its beginning.
    Suffix,
    Tokens(Vec<Token>),
}

/// One part of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Char(char),
    /// `?`: any character but a slash.
    One,
    /// `*`: any number of characters but slashes.
    Many,
    /// `**` in the middle: any number of directories, and first of all none.
    Directories,
    /// Always behind the former: within one of the directories.
    Within,
    /// `**` at the end: anything.
    Anything,
    /// `[…]`.
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.exception { "!" } else { "" }, self.text)
    }
}

impl Ignore {
    /// Reads a `.dockerignore`.
    pub fn parse(text: &[u8]) -> Result<Self, BadPattern> {
        Self::new(lines(text))
    }

    /// Makes a list of the patterns, each as a line of the file says it.
    pub fn new<S: AsRef<str>>(patterns: impl IntoIterator<Item = S>) -> Result<Self, BadPattern> {
        let mut ignore = Self::default();
        for pattern in patterns {
            let trimmed = pattern.as_ref().trim();
            if trimmed.is_empty() {
                continue;
            }
            let cleaned = clean(trimmed);
            let (exception, text) = match cleaned.strip_prefix('!') {
                Some("") => return Err(BadPattern::Lone),
                Some(rest) => (true, rest.to_owned()),
                None => (false, cleaned),
            };
            check(&text)?;
            let form = compile(&text);
            ignore.exceptions |= exception;
            ignore.patterns.push(Pattern { text, exception, form });
        }
        Ok(ignore)
    }

    /// Tells whether there is no pattern.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Tells whether a pattern takes back what others leave out.
    pub fn has_exceptions(&self) -> bool {
        self.exceptions
    }

    /// Tells whether a pattern leaves out everything in the root.
    pub fn excludes_root(&self) -> bool {
        self.patterns.iter().any(|p| !p.exception && matches!(p.text.as_str(), "*" | "**" | "**/*"))
    }

    /// Tells whether `path` (relative, with slashes) is left out. A walk is better off with [`Self::look`].
    pub fn excluded(&self, path: &str) -> bool {
        let path = clean(path);
        let path = path.trim_start_matches('/');
        if self.is_empty() || path.is_empty() || path == "." {
            return false;
        }
        let mut above = Verdict::default();
        for (end, _) in path.match_indices('/') {
            above = self.look(&above, &path[..end]);
        }
        self.look(&above, path).excluded
    }

    /// Judges `path`, which is an entry of the directory that `above` was said of; in the root, `above` is the
    /// default.
    #[must_use]
    pub fn look(&self, above: &Verdict, path: &str) -> Verdict {
        let mut verdict = Verdict { excluded: false, matched: vec![false; self.patterns.len()] };
        for (at, pattern) in self.patterns.iter().enumerate() {
            let inherited = above.matched.get(at).copied().unwrap_or(false);
            // A pattern that could not change the answer is not asked, and then says nothing of what is below.
            let matches = inherited || (pattern.exception == verdict.excluded && pattern.matches(path));
            verdict.matched[at] = matches;
            if matches {
                verdict.excluded = !pattern.exception;
            }
        }
        verdict
    }

    /// Tells whether nothing below `directory`, which `verdict` was said of, can be taken back: it need not be
    /// read at all.
    pub fn skips(&self, verdict: &Verdict, directory: &str) -> bool {
        verdict.excluded
            && self.patterns.iter().filter(|p| p.exception).all(|pattern| {
                let fixed = pattern.fixed();
                // With wildcards, only what stands before the first of them is known.
                if fixed.len() == pattern.text.len() {
                    !below(fixed, directory)
                } else {
                    let fixed = fixed.rsplit_once('/').map_or("", |(above, _)| above);
                    !(fixed.is_empty() || below(fixed, directory) || below(directory, fixed))
                }
            })
    }
}

/// Tells whether `path` is `directory` or in it.
fn below(path: &str, directory: &str) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl Pattern {
    /// Returns what stands before the first wildcard.
    fn fixed(&self) -> &str {
        let end = self.text.find(['*', '?', '[', '\\']).unwrap_or(self.text.len());
        &self.text[..end]
    }

    fn matches(&self, path: &str) -> bool {
        match &self.form {
            Form::Exact => path == self.text,
            Form::Prefix => path.starts_with(&self.text[..self.text.len() - 2]),
            Form::Suffix => {
                let suffix = &self.text[2..];
                path.ends_with(suffix) || suffix.strip_prefix('/').is_some_and(|name| path == name)
            }
            Form::Tokens(tokens) => run(tokens, path),
        }
    }
}

/// Returns the patterns of a `.dockerignore`: without comments, empty lines and leading slashes.
pub fn lines(text: &[u8]) -> Vec<String> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let text = String::from_utf8_lossy(text);
    let pattern = |line: &str| {
        let trimmed = line.trim();
        if line.starts_with('#') || trimmed.is_empty() {
            return None;
        }
        let (mark, rest) = match trimmed.strip_prefix('!') {
            Some(rest) => ("!", rest.trim()),
            None => ("", trimmed),
        };
        if rest.is_empty() {
            return Some(mark.to_owned());
        }
        let cleaned = clean(rest);
        let cleaned =
            if cleaned.len() > 1 { cleaned.strip_prefix('/').unwrap_or(&cleaned) } else { &cleaned };
        Some(format!("{mark}{cleaned}"))
    };
    text.lines().filter_map(pattern).collect()
}

/// Returns the shortest path of the same meaning, as Go's `path.Clean`.
pub fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            part => parts.push(part),
        }
    }
    match (rooted, parts.join("/")) {
        (true, joined) => format!("/{joined}"),
        (false, joined) if joined.is_empty() => ".".to_owned(),
        (false, joined) => joined,
    }
}

/// Refuses what `filepath.Match` refuses.
fn check(pattern: &str) -> Result<(), BadPattern> {
    let bad = || BadPattern::Syntax(pattern.to_owned());
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                chars.next().ok_or_else(bad)?;
            }
            '[' => {
                chars.next_if_eq(&'^');
                let mut some = false;
                loop {
                    if some && chars.next_if_eq(&']').is_some() {
                        break;
                    }
                    member(&mut chars).ok_or_else(bad)?;
                    if chars.next_if_eq(&'-').is_some() {
                        member(&mut chars).ok_or_else(bad)?;
                    }
                    some = true;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Reads a character of a class, perhaps escaped.
fn member(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<char> {
    match chars.next()? {
        '-' | ']' => None,
        '\\' => chars.next(),
        c => Some(c),
    }
}

/// Decides how a pattern is matched.
fn compile(pattern: &str) -> Form {
    let mut tokens = Vec::new();
    let mut form = Form::Exact;
    let mut chars = pattern.chars().peekable();
    let mut plain = true;
    let mut first = true;
    while let Some(c) = chars.next() {
        match c {
            '*' if chars.next_if_eq(&'*').is_some() => {
                chars.next_if_eq(&'/');
                let last = chars.peek().is_none();
                if last && plain && matches!(form, Form::Exact) {
                    form = Form::Prefix;
                } else {
                    plain = false;
                }
                if last {
                    tokens.push(Token::Anything);
                } else {
                    tokens.extend([Token::Directories, Token::Within]);
                }
                if first {
                    form = Form::Suffix;
                    plain = true;
                }
            }
            '*' => {
                tokens.push(Token::Many);
                plain = false;
            }
            '?' => {
                tokens.push(Token::One);
                plain = false;
            }
            '\\' => {
                tokens.extend(chars.next().map(Token::Char));
                plain = false;
            }
            '[' => {
                tokens.push(class(&mut chars));
                plain = false;
            }
            c => tokens.push(Token::Char(c)),
        }
        first = false;
    }
    if plain { form } else { Form::Tokens(tokens) }
}

/// Reads a class that [`check`] has found good.
fn class(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Token {
    let negated = chars.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    while let Some(low) = member(chars) {
        let high = match chars.next_if_eq(&'-') {
            Some(_) => member(chars).unwrap_or(low),
            None => low,
        };
        ranges.push((low, high));
        if chars.next_if_eq(&']').is_some() {
            break;
        }
    }
    Token::Class { negated, ranges }
}

/// Runs all the ways through `tokens` side by side, so that no pattern takes longer than its length times the
/// path's.
fn run(tokens: &[Token], path: &str) -> bool {
    let mut now = vec![false; tokens.len() + 1];
    let mut next = now.clone();
    now[0] = true;
    pass(tokens, &mut now);
    for c in path.chars() {
        next.fill(false);
        for (at, token) in tokens.iter().enumerate() {
            if !now[at] {
                continue;
            }
            let (stay, on) = match token {
                Token::Char(wanted) => (false, *wanted == c),
                Token::One => (false, c != '/'),
                Token::Many => (c != '/', false),
                Token::Directories => (false, false),
                Token::Within => (c != '\n', c == '/'),
                Token::Anything => (c != '\n', false),
                Token::Class { negated, ranges } => {
                    (false, ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *negated)
                }
            };
            next[at] |= stay;
            next[at + 1] |= on;
        }
        std::mem::swap(&mut now, &mut next);
        pass(tokens, &mut now);
    }
    now[tokens.len()]
}

/// Marks what can be reached without a character.
fn pass(tokens: &[Token], states: &mut [bool]) {
    for (at, token) in tokens.iter().enumerate() {
        match token {
            Token::Many | Token::Anything if states[at] => states[at + 1] = true,
            Token::Directories if states[at] => {
                states[at + 1] = true;
                states[at + 2] = true;
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn excluded(patterns: &[&str], path: &str) -> bool {
        Ignore::new(patterns).unwrap().excluded(path)
    }

    #[test]
    fn knows_moby_s_wildcards() {
        for (pattern, path) in [
            ("**", "dir/file"),
            ("**/", "file"),
            ("**/**", "dir/file"),
            ("dir/**", "dir/dir2/file"),
            ("**/dir", "dir/file"),
            ("**/dir2/*", "dir/dir2/file"),
            ("**/dir2/**", "dir/dir2/dir3/file"),
            ("**file", "dir/dir/file"),
            ("**/file*txt", "dir/dir/file.txt"),
            ("**/**/*.txt", "file.txt"),
            ("a**/*.txt", "a/dir/dir/file.txt"),
            ("a/*.txt**", "a/file.txt"),
            ("a[b-d]e", "ace"),
            ("a[^b-d]e", "aze"),
            (".*", ".foo"),
            ("abc?def", "abcZdef"),
            ("a\\\\", "a\\"),
            ("a\\*b", "a*b"),
            ("abc/**", "abc/def/ghi"),
            ("**/foo/bar", "dir/dir2/foo/bar"),
            ("a(b)c/def", "a(b)c/def"),
            ("a*/b", "abc/b"),
            ("a*", "ab/c"),
            ("a*b*c*d*e*/f", "axbxcxdxexxx/f"),
            ("[a-ζ]*", "α"),
            ("a[^a]b", "a☺b"),
            ("docs", "docs/a/b"),
        ] {
            assert!(excluded(&[pattern], path), "{pattern} {path}");
        }
        for (pattern, path) in [
            ("foo", "sub/foo"),
            ("**/**/*.txt2", "dir/dir/file.txt"),
            ("a/*.txt", "a/dir/file.txt"),
            ("a[b-d]e", "aae"),
            ("abc.def", "abcZdef"),
            ("abc?def", "abcdef"),
            ("abc/**", "abc"),
            ("**/.foo", "bar.foo"),
            ("a*b", "a/b"),
            ("a?b", "a/b"),
            ("x**y/z", "xaby/z"),
        ] {
            assert!(!excluded(&[pattern], path), "{pattern} {path}");
        }
    }

    #[test]
    fn the_last_match_decides() {
        assert!(!excluded(&["docs", "!docs/README.md"], "docs/README.md"));
        assert!(excluded(&["docs", "!docs/README.md"], "docs/other"));
        assert!(excluded(&["!fileutils.go", "*.go"], "fileutils.go"));
        assert!(!excluded(&["**", "!util/docker/web"], "util/docker/web/foo"));
        assert!(excluded(&["**", "!util/docker/web", "util/docker/web/foo"], "util/docker/web/foo"));
        assert!(!excluded(&["*", "!src", "!*.md"], "src/a/b.c"));
        // As in a walk: `!a` said nothing of `a`, which nothing had left out, and so says nothing of `a/b`.
        assert!(excluded(&["a/b", "!a"], "a/b"));
    }

    #[test]
    fn refuses_bad_patterns() {
        assert_eq!(Ignore::new(["!"]).unwrap_err(), BadPattern::Lone);
        for bad in ["[", "[]a]", "[x-]", "[-x]", "a[", "\\", "[a"] {
            assert!(Ignore::new([bad]).is_err(), "{bad}");
        }
    }

    #[test]
    fn reads_the_file() {
        let text = b"\xef\xbb\xbf# comment\n\n  /abs/ \n! /taken/./back\n #not\n/\n!\n";
        assert_eq!(lines(text), ["abs", "!taken/back", "#not", "/", "!"]);
    }

    #[test]
    fn spares_directories_that_hold_nothing() {
        let skips = |patterns: &[&str], directory: &str| {
            let ignore = Ignore::new(patterns).unwrap();
            ignore.skips(&ignore.look(&Verdict::default(), directory), directory)
        };
        assert!(skips(&["node_modules"], "node_modules"));
        assert!(skips(&["*", "!src/**"], "target"));
        assert!(!skips(&["*", "!src/**"], "src"));
        assert!(!skips(&["a", "!a/b/c"], "a"));
        assert!(!skips(&["a", "!**/x"], "a"));
        assert!(!skips(&["b"], "a"));
    }

    proptest! {
        #[test]
        fn never_panics(patterns in prop::collection::vec("[]!a/*?.\\\\\\[^-]{0,9}", 0..4), path in "[ab/.*]{0,9}") {
            if let Ok(ignore) = Ignore::new(&patterns) {
                ignore.excluded(&path);
            }
        }

        #[test]
        fn what_is_skipped_holds_nothing(
            patterns in prop::collection::vec("!?(a|b|\\*|\\?|\\*\\*)(/(a|b|\\*|\\*\\*)){0,2}", 0..5),
            directory in "[ab]",
            rest in "[ab](/[ab]){0,2}",
        ) {
            let ignore = Ignore::new(&patterns).unwrap();
            let verdict = ignore.look(&Verdict::default(), &directory);
            let path = format!("{directory}/{rest}");
            if ignore.skips(&verdict, &directory) {
                prop_assert!(ignore.excluded(&path), "{:?} {}", ignore, path);
            }
        }
    }
}
