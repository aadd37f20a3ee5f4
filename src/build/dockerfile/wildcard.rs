//! The patterns within `${name#pattern}` and its kin: `*`, `?` and a backslash before either.

/// One part of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Char(char),
    One,
    Many,
}

/// A pattern.
#[derive(Debug, Clone)]
pub(super) struct Wildcards(Vec<Part>);

impl Wildcards {
    pub(super) fn parse(pattern: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut chars = pattern.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '*' => parts.push(Part::Many),
                '?' => parts.push(Part::One),
                // Escaped only for the sake of the braces around.
                '\\' if matches!(chars.peek(), Some('}' | '/')) => {}
                '\\' => match chars.next() {
                    Some(c @ ('*' | '?' | '\\')) => parts.push(Part::Char(c)),
                    Some(c) => return Err(format!("invalid escape '\\{c}'")),
                    None => return Err("invalid escape '\\'".to_owned()),
                },
                c => parts.push(Part::Char(c)),
            }
        }
        Ok(Self(parts))
    }

    /// Returns where the shortest or longest match that begins at `text`'s beginning ends.
    fn end(&self, text: &[char], longest: bool) -> Option<usize> {
        let mut now = vec![false; self.0.len() + 1];
        now[0] = true;
        let mut found = None;
        for at in 0..=text.len() {
            for (part, kind) in self.0.iter().enumerate() {
                if now[part] && *kind == Part::Many {
                    now[part + 1] = true;
                }
            }
            if now[self.0.len()] {
                found = Some(at);
                if !longest {
                    break;
                }
            }
            let Some(c) = text.get(at) else { break };
            let mut next = vec![false; self.0.len() + 1];
            for (part, kind) in self.0.iter().enumerate() {
                if now[part] {
                    match kind {
                        Part::Char(wanted) => next[part + 1] |= wanted == c,
                        Part::One => next[part + 1] |= *c != '\n',
                        Part::Many => next[part] |= *c != '\n',
                    }
                }
            }
            if !next.contains(&true) {
                break;
            }
            now = next;
        }
        found
    }

    /// Replaces the first match, or all of them, each as long as can be.
    pub(super) fn replace(&self, value: &str, replacement: &str, all: bool) -> String {
        let text: Vec<char> = value.chars().collect();
        let mut out = String::new();
        let mut copied = 0;
        let mut at = 0;
        while at <= text.len() {
            let Some(end) = self.end(&text[at..], true).map(|length| at + length) else {
                at += 1;
                continue;
            };
            out.extend(&text[copied..at]);
            // Nothing is not replaced right behind something that was.
            if end > copied || at == 0 {
                out.push_str(replacement);
            }
            copied = end;
            at = end.max(at + usize::from(end == at));
            if !all {
                break;
            }
        }
        out.extend(&text[copied.min(text.len())..]);
        out
    }
}

/// Takes the match at the beginning away.
pub(super) fn trim_start(pattern: &str, value: &str, longest: bool) -> Result<String, String> {
    let text: Vec<char> = value.chars().collect();
    let end = Wildcards::parse(pattern)?.end(&text, longest).unwrap_or(0);
    Ok(text[end..].iter().collect())
}

/// Takes the match at the end away: the same, read backwards.
pub(super) fn trim_end(pattern: &str, value: &str, longest: bool) -> Result<String, String> {
    let mut wildcards = Wildcards::parse(pattern)?;
    wildcards.0.reverse();
    let text: Vec<char> = value.chars().rev().collect();
    let end = wildcards.end(&text, longest).unwrap_or(0);
    Ok(text[end..].iter().rev().collect())
}
