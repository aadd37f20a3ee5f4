//! Patterns in filters: regular expressions for names, and shell patterns for references.
//!
//! `ps --filter name=` takes a regular expression; a whole engine for it would cost more to carry and to
//! start than the rest of `ps`. This one knows characters, `.`, classes, groups, alternatives, `* + ?` and the
//! anchors, and gives up on a pattern that would take too long.

/// What a pattern is made of.
#[derive(Debug, Clone)]
enum Node {
    Char(char),
    Any,
    Start,
    End,
    Class { negated: bool, ranges: Vec<(char, char)> },
    Group(Vec<Vec<Node>>),
    Repeat { node: Box<Node>, least: usize, most: usize },
}

/// A regular expression.
#[derive(Debug)]
pub(super) struct Pattern {
    alternatives: Vec<Vec<Node>>,
}

/// The most steps that one match may take.
const PATIENCE: usize = 1_000_000;
/// How deep groups may lie in each other.
const DEPTH: usize = 50;

impl Pattern {
    /// Parses an expression; `None` if it is none.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let chars: Vec<char> = text.chars().collect();
        let mut at = 0;
        let alternatives = alternatives(&chars, &mut at, 0)?;
        (at == chars.len()).then_some(Self { alternatives })
    }

    /// Tells whether the expression matches anywhere in a text.
    pub(super) fn matches(&self, text: &str) -> bool {
        let chars: Vec<char> = text.chars().collect();
        let mut steps = 0;
        (0..=chars.len()).any(|from| {
            self.alternatives.iter().any(|sequence| run(sequence, &chars, from, &mut steps, &mut |_, _| true))
        })
    }
}

fn alternatives(chars: &[char], at: &mut usize, depth: usize) -> Option<Vec<Vec<Node>>> {
    if depth > DEPTH {
        return None;
    }
    let mut found = vec![Vec::new()];
    while let Some(&c) = chars.get(*at) {
        if c == ')' && depth > 0 {
            break;
        }
        *at += 1;
        let node = match c {
            '|' => {
                found.push(Vec::new());
                continue;
            }
            '.' => Node::Any,
            '^' => Node::Start,
            '$' => Node::End,
            '(' => {
                if chars[*at..].starts_with(&['?', ':']) {
                    *at += 2;
                }
                let group = alternatives(chars, at, depth + 1)?;
                (chars.get(*at) == Some(&')')).then_some(())?;
                *at += 1;
                Node::Group(group)
            }
            '[' => class(chars, at)?,
            '\\' => {
                let escaped = *chars.get(*at)?;
                *at += 1;
                known_class(escaped).unwrap_or(Node::Char(escaped))
            }
            ')' | '*' | '+' | '?' => return None,
            c => Node::Char(c),
        };
        let (least, most) = match chars.get(*at) {
            Some('*') => (0, usize::MAX),
            Some('+') => (1, usize::MAX),
            Some('?') => (0, 1),
            _ => {
                found.last_mut()?.push(node);
                continue;
            }
        };
        *at += 1;
        if chars.get(*at) == Some(&'?') {
            // That a repetition is to be short changes what is matched, not whether.
            *at += 1;
        }
        found.last_mut()?.push(Node::Repeat { node: Box::new(node), least, most });
    }
    Some(found)
}

fn known_class(letter: char) -> Option<Node> {
    let ranges = match letter.to_ascii_lowercase() {
        'd' => vec![('0', '9')],
        'w' => vec![('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')],
        's' => vec![('\t', '\n'), ('\x0c', '\r'), (' ', ' ')],
        _ => return None,
    };
    Some(Node::Class { negated: letter.is_ascii_uppercase(), ranges })
}

fn class(chars: &[char], at: &mut usize) -> Option<Node> {
    let negated = chars.get(*at) == Some(&'^');
    *at += usize::from(negated);
    let mut ranges = Vec::new();
    let first = *at;
    loop {
        let mut c = *chars.get(*at)?;
        *at += 1;
        if c == ']' && *at > first + 1 {
            return Some(Node::Class { negated, ranges });
        }
        if c == '\\' {
            c = *chars.get(*at)?;
            *at += 1;
            if let Some(Node::Class { ranges: more, negated: false }) = known_class(c) {
                ranges.extend(more);
                continue;
            }
        }
        if chars.get(*at) == Some(&'-') && chars.get(*at + 1).is_some_and(|c| *c != ']') {
            let last = chars[*at + 1];
            *at += 2;
            (c <= last).then_some(())?;
            ranges.push((c, last));
        } else {
            ranges.push((c, c));
        }
    }
}

type Then<'a> = &'a mut dyn FnMut(usize, &mut usize) -> bool;

/// Matches a sequence from a place, and what comes then.
fn run(sequence: &[Node], text: &[char], at: usize, steps: &mut usize, then: Then<'_>) -> bool {
    *steps += 1;
    if *steps > PATIENCE {
        return false;
    }
    let Some((node, rest)) = sequence.split_first() else { return then(at, steps) };
    match node {
        Node::Repeat { node, least, most } => repeat(node, *least, *most, rest, text, at, steps, then),
        Node::Group(group) => group
            .iter()
            .any(|inner| run(inner, text, at, steps, &mut |end, steps| run(rest, text, end, steps, then))),
        node => step(node, text, at).is_some_and(|next| run(rest, text, next, steps, then)),
    }
}

#[allow(clippy::too_many_arguments)]
fn repeat(
    node: &Node,
    least: usize,
    most: usize,
    rest: &[Node],
    text: &[char],
    at: usize,
    steps: &mut usize,
    then: Then<'_>,
) -> bool {
    *steps += 1;
    if *steps > PATIENCE {
        return false;
    }
    let once = std::slice::from_ref(node);
    let more = most > 0
        && run(once, text, at, steps, &mut |end, steps| {
            // Going round without moving would never end.
            end > at && repeat(node, least.saturating_sub(1), most - 1, rest, text, end, steps, then)
        });
    more || (least == 0 && run(rest, text, at, steps, then))
}

/// Matches one character or anchor, and returns the place after it.
fn step(node: &Node, text: &[char], at: usize) -> Option<usize> {
    let c = text.get(at).copied();
    let fits = match node {
        Node::Start => return (at == 0).then_some(at),
        Node::End => return (at == text.len()).then_some(at),
        Node::Char(wanted) => c == Some(*wanted),
        Node::Any => c.is_some_and(|c| c != '\n'),
        Node::Class { negated, ranges } => {
            c.is_some_and(|c| ranges.iter().any(|(from, to)| (*from..=*to).contains(&c)) != *negated)
        }
        Node::Group(_) | Node::Repeat { .. } => false,
    };
    fits.then_some(at + 1)
}

/// Matches a whole text against a shell pattern, as Go's `path.Match`: `*` and `?` match no slash.
pub(super) fn glob(pattern: &str, text: &str) -> bool {
    let mut expression = String::from("^");
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        match c {
            '*' => expression.push_str("[^/]*"),
            '?' => expression.push_str("[^/]"),
            '[' => expression.push('['),
            ']' | '-' => expression.push(c),
            '\\' => {
                let Some(escaped) = chars.next() else { return false };
                expression.push('\\');
                expression.push(escaped);
            }
            c if c.is_alphanumeric() => expression.push(c),
            '^' if expression.ends_with('[') => expression.push('^'),
            c => {
                expression.push('\\');
                expression.push(c);
            }
        }
    }
    expression.push('$');
    Pattern::parse(&expression).is_some_and(|pattern| pattern.matches(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        Pattern::parse(pattern).unwrap().matches(text)
    }

    #[test]
    fn matches_expressions() {
        for (pattern, text) in [
            ("ow", "/down"),
            ("^/?up$", "/up"),
            ("^/?up$", "up"),
            ("web-[0-9]+$", "/web-12"),
            ("^/(a|bc)*d", "/abcad"),
            ("a.c", "xabcx"),
            ("\\.", "a.b"),
            ("[^a]b", "cb"),
            ("(?:x|y)?z", "z"),
            ("", "anything"),
            ("\\d\\w\\s", "1a "),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("^up$", "/up"), ("a+b", "b"), ("[a-c]", "d"), ("a.c", "ac"), ("x|y", "z")] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn refuses_what_is_none_and_gives_up_in_time() {
        for pattern in ["(", "[", "*", "a)", "[z-a]", "\\"] {
            assert!(Pattern::parse(pattern).is_none(), "{pattern}");
        }
        assert!(!matches("(a*)*b", &"a".repeat(200)));
        assert!(Pattern::parse(&"(".repeat(100_000)).is_none());
    }

    #[test]
    fn matches_shell_patterns() {
        assert!(glob("site/*", "site/web") && !glob("site/*", "site/web/x") && !glob("site", "site/web"));
        assert!(glob("w?b:[0-9].*", "web:1.2") && glob("a.b", "a.b") && !glob("a.b", "axb"));
    }
}
