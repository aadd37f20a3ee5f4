//! What is wrong with a Dockerfile, and where.

use std::fmt::Write as _;

/// First and last line, counted from one.
pub type Lines = (u32, u32);

/// An error that has a place in the Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    /// What is wrong, in BuildKit's words.
    pub message: String,
    /// Where; several places if one says what another contradicts.
    pub places: Vec<Lines>,
    /// The text that is wrong, which is to be found in those lines.
    pub offending: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Fault {
    /// Makes an error that has no place yet.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), places: Vec::new(), offending: None, hint: None }
    }

    /// Says where it is, unless that is known.
    #[must_use]
    pub fn at(mut self, lines: Lines) -> Self {
        if self.places.is_empty() {
            self.places.push(lines);
        }
        self
    }

    /// Says which text is wrong.
    #[must_use]
    pub fn about(mut self, text: impl Into<String>) -> Self {
        self.offending.get_or_insert(text.into());
        self
    }

    /// Says what to do about it.
    #[must_use]
    pub fn hint(mut self, text: impl Into<String>) -> Self {
        self.hint.get_or_insert(text.into());
        self
    }

    /// Puts what was being done before the message.
    #[must_use]
    pub fn context(mut self, doing: &str) -> Self {
        self.message = format!("{doing}: {}", self.message);
        self
    }

    /// Returns the line and column of the offending text, counted from one.
    pub fn position(&self, source: &str) -> Option<(u32, u32)> {
        let &(first, last) = self.places.first()?;
        let Some(offending) = self.offending.as_deref().filter(|text| !text.is_empty()) else {
            let line = source.lines().nth(first.checked_sub(1)? as usize)?;
            let indent = line.chars().take_while(|c| c.is_whitespace()).count();
            return Some((first, u32::try_from(indent).ok()? + 1));
        };
        let lines = source.lines().enumerate();
        for (at, line) in lines.skip(first.checked_sub(1)? as usize).take((last - first + 1) as usize) {
            if let Some(byte) = line.find(offending) {
                let column = line[..byte].chars().count() + 1;
                return Some((u32::try_from(at).ok()? + 1, u32::try_from(column).ok()?));
            }
        }
        None
    }

    /// Shows the lines, with some around them, as BuildKit does; below the offending text, carets.
    pub fn excerpt(&self, file: &str, source: &str) -> String {
        let caret = self.offending.as_deref().filter(|text| !text.is_empty()).and_then(|text| {
            let (line, column) = self.position(source)?;
            Some((line, column, text.chars().count()))
        });
        excerpt(file, source, &self.places, caret)
    }
}

/// Shows `places` of `source`; `caret` is a line, a column and a length.
pub fn excerpt(file: &str, source: &str, places: &[Lines], caret: Option<(u32, u32, usize)>) -> String {
    let lines: Vec<&str> = source.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)).collect();
    let count = u32::try_from(lines.len()).unwrap_or(u32::MAX);
    let first = places.iter().map(|place| place.0).min().unwrap_or(0);
    let last = places.iter().map(|place| place.1).max().unwrap_or(0).min(count);
    if first < 1 || first > count {
        return String::new();
    }
    // As many lines around as make the place readable: more where it is a single line.
    let around = if first == last { 4 } else { 2 };
    let (mut start, mut end, mut shown) = (first, last, 0);
    while shown < around {
        if start > 1 {
            start -= 1;
            shown += 1;
        }
        if end < count {
            end += 1;
            shown += 1;
        }
        shown += 1;
    }
    let mut out = format!("{file}:{first}\n--------------------\n");
    for number in start..=end {
        let here = places.iter().any(|place| (place.0..=place.1).contains(&number));
        let mark = if here { ">>>" } else { "   " };
        let text = lines.get(number as usize - 1).copied().unwrap_or("");
        let _ = writeln!(out, " {number:3} | {mark} {text}");
        if let Some((_, column, length)) = caret.filter(|(line, ..)| *line == number) {
            // Tabs stay tabs, so that the carets stand below their text.
            let indent: String =
                text.chars().take(column as usize - 1).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
            let _ = writeln!(out, "     |     {indent}{}", "^".repeat(length));
        }
    }
    out.push_str("--------------------\n");
    out
}

/// Returns the word of `known` that is most like `word`, if one is near.
pub fn similar<'a>(
    word: &str,
    known: impl IntoIterator<Item = &'a str>,
    case_sensitive: bool,
) -> Option<String> {
    let wanted = if case_sensitive { word.to_owned() } else { word.to_lowercase() };
    let mut best: Option<(usize, String)> = None;
    for candidate in known.into_iter().filter(|candidate| !candidate.is_empty()) {
        let folded = if case_sensitive { candidate.to_owned() } else { candidate.to_lowercase() };
        if folded == wanted {
            return None;
        }
        let distance = distance(&wanted, &folded);
        if distance < best.as_ref().map_or(3, |best| best.0) {
            best = Some((distance, folded));
        }
    }
    let (_, found) = best?;
    Some(if case_sensitive || word == word.to_lowercase() {
        found
    } else if word == word.to_uppercase() {
        found.to_uppercase()
    } else {
        found
    })
}

/// Returns ` (did you mean …?)`, or nothing.
pub fn suggestion<'a>(word: &str, known: impl IntoIterator<Item = &'a str>, case_sensitive: bool) -> String {
    similar(word, known, case_sensitive).map(|word| format!(" (did you mean {word}?)")).unwrap_or_default()
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let changed = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
