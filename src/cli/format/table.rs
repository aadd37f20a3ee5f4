//! Columns as Go's `text/tabwriter` lays them out, with Docker's settings.

use unicode_width::UnicodeWidthChar as _;

/// The least width of a column, and the spaces between two.
const LEAST: usize = 10;
const PADDING: usize = 3;

/// Lays out lines whose cells end with tabs. A column is a run of lines that all have a cell there: a line
/// without one ends it, so that parts of a text are laid out on their own.
pub(in crate::cli) fn lay_out(text: &str) -> String {
    lay_out_at_least(text, LEAST)
}

/// Lays out lines as `top` does, with wider columns.
pub(in crate::cli) fn lay_out_wide(text: &str) -> String {
    lay_out_at_least(text, 20)
}

fn lay_out_at_least(text: &str, least: usize) -> String {
    let (body, last) = match text.strip_suffix('\n') {
        Some(body) => (body, "\n"),
        None => (text, ""),
    };
    let lines: Vec<Vec<&str>> = body.split('\n').map(|line| line.split('\t').collect()).collect();
    let mut widths = Vec::new();
    let mut out = String::with_capacity(text.len() * 2);
    let mut writer = Writer { lines: &lines, out: &mut out, least };
    writer.format(0, lines.len(), &mut widths);
    out.push_str(last);
    out
}

fn width(cell: &str) -> usize {
    cell.chars().map(|c| c.width().unwrap_or(0)).sum()
}

struct Writer<'a> {
    lines: &'a [Vec<&'a str>],
    out: &'a mut String,
    /// The least width of a column.
    least: usize,
}

impl Writer<'_> {
    /// Writes the lines `from..to`, whose first columns have the given widths.
    fn format(&mut self, mut from: usize, to: usize, widths: &mut Vec<usize>) {
        let column = widths.len();
        let mut at = from;
        while at < to {
            if column + 1 >= self.lines[at].len() {
                at += 1;
                continue;
            }
            // The lines before this one have no cell in this column.
            self.write(from, at, widths);
            from = at;
            let mut wide = self.least;
            while at < to && column + 1 < self.lines[at].len() {
                let cell = width(self.lines[at][column]);
                wide = wide.max(cell + PADDING);
                at += 1;
            }
            widths.push(wide);
            self.format(from, at, widths);
            widths.pop();
            from = at;
        }
        self.write(from, to, widths);
    }

    fn write(&mut self, from: usize, to: usize, widths: &[usize]) {
        for index in from..to {
            let line = &self.lines[index];
            for (column, cell) in line.iter().enumerate() {
                self.out.push_str(cell);
                if column + 1 < line.len() {
                    let wide = widths.get(column).copied().unwrap_or(0);
                    self.out.extend(std::iter::repeat_n(' ', wide.saturating_sub(width(cell))));
                }
            }
            if index + 1 < self.lines.len() {
                self.out.push('\n');
            }
        }
    }
}

/// Cuts a text to a width, with an ellipsis in the last place.
pub(in crate::cli) fn ellipsis(text: &str, most: usize) -> String {
    if width(text) <= most {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut used = 0;
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used > most.saturating_sub(1) {
            break;
        }
        out.push(c);
    }
    out.push('…');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lays_out_columns() {
        let text = "CONTAINER ID\tIMAGE\tNAMES\nabc\tbusybox-of-some-length\tx\n";
        let laid =
            "CONTAINER ID   IMAGE                    NAMES\nabc            busybox-of-some-length   x\n";
        assert_eq!(lay_out(text), laid);
        assert_eq!(lay_out("A\tB\n"), "A         B\n");
        assert_eq!(lay_out(""), "");
        assert_eq!(lay_out("a\n"), "a\n");
    }

    #[test]
    fn counts_wide_characters_twice() {
        assert_eq!(lay_out("日本語日本語\tx\na\ty\n"), "日本語日本語   x\na              y\n");
    }

    #[test]
    fn lays_out_parts_on_their_own() {
        let text = "long long long cell\tx\nno cells here\na\tb\n";
        assert_eq!(lay_out(text), "long long long cell   x\nno cells here\na         b\n");
    }

    #[test]
    fn cuts_with_an_ellipsis() {
        assert_eq!(ellipsis("12345678901234567890", 20), "12345678901234567890");
        assert_eq!(ellipsis("123456789012345678901", 20), "1234567890123456789…");
        assert_eq!(ellipsis("日本語", 4), "日…");
    }
}
