//! Images as a tree: `images` on a terminal, `images --tree` and `image tree`.
//!
//! The columns are those of Docker's command line since version 29: a line for each name, and with `--tree` one
//! below for the platform. Where the width of the terminal is known, the first line explains the marks.

use std::collections::BTreeSet;
use std::io::{self, IsTerminal as _};

use unicode_width::UnicodeWidthStr as _;

use super::format::table::ellipsis;
use super::format::units::human_size;
use crate::image::{ImageUsage, familiar};
use crate::oci::Digest;

const UNTAGGED: &str = "<untagged>";
const SPACING: &str = "   ";
/// Columns after the names: their heads, widths, and whether they are aligned to the right.
const COLUMNS: [(&str, usize, bool); 4] =
    [("ID", 12, false), ("DISK USAGE", 10, true), ("CONTENT SIZE", 12, true), ("EXTRA", 5, false)];
/// The least width of the names; where there is less room, columns go.
const NAMES: usize = 12;

/// How a text is drawn.
#[derive(Debug, Clone, Copy)]
struct Style {
    colours: bool,
    /// The width of the terminal; 0 without one.
    width: usize,
}

/// One line, or one and those below it.
#[derive(Debug)]
struct Node {
    names: Vec<String>,
    cells: [String; 4],
    below: Vec<(String, [String; 4])>,
}

/// Draws images for standard output. `used` are those that containers were made from; `expanded` shows platforms.
pub(super) fn draw(images: &[ImageUsage], used: &BTreeSet<Digest>, expanded: bool) -> String {
    let is_terminal = io::stdout().is_terminal();
    let width = rustix::termios::tcgetwinsize(io::stdout()).map_or(0, |size| usize::from(size.ws_col));
    let style = Style {
        colours: is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        width: if is_terminal { width.max(20) } else { 0 },
    };
    render(images, used, expanded, style)
}

fn render(images: &[ImageUsage], used: &BTreeSet<Digest>, expanded: bool, style: Style) -> String {
    let mut nodes = Vec::new();
    for image in images {
        let record = &image.summary.image.record;
        let in_use = used.contains(&record.id);
        let cells = |id: &Digest| {
            let mark = if in_use { chip(style) } else { blank(style) };
            [id.short(), human_size(image.size, 3), human_size(image.content, 3), mark]
        };
        let mut names: Vec<String> = image.summary.tags.iter().map(familiar).collect();
        names.sort();
        if expanded {
            let platform = image.summary.image.config.platform().to_string();
            let below = vec![(platform, cells(&record.manifest))];
            nodes.push(Node { names, cells: cells(&record.id), below });
        } else if names.is_empty() {
            nodes.push(Node { names, cells: cells(&record.id), below: Vec::new() });
        } else {
            nodes.extend(names.into_iter().map(|name| Node {
                names: vec![name],
                cells: cells(&record.id),
                below: Vec::new(),
            }));
        }
    }
    // Those without a name come last.
    nodes.sort_by(|a, b| (a.names.is_empty(), a.names.first()).cmp(&(b.names.is_empty(), b.names.first())));
    lay_out(&nodes, expanded, style)
}

fn lay_out(nodes: &[Node], expanded: bool, style: Style) -> String {
    let below = |node: &Node| node.below.iter().map(|(name, _)| name.width() + 3).max();
    let names = |node: &Node| node.names.iter().map(|name| name.width()).max().unwrap_or(UNTAGGED.len());
    let widest = nodes.iter().map(|node| names(node).max(below(node).unwrap_or(0))).max().unwrap_or(0).max(5);
    let mut room = style.width;
    let mut shown = COLUMNS.len();
    if room > 0 {
        for (at, (_, width, _)) in COLUMNS.iter().enumerate() {
            if room.saturating_sub(width + SPACING.len()) < NAMES {
                shown = at;
                break;
            }
            room -= width + SPACING.len();
        }
    }
    let first = if style.width == 0 || room > widest { widest } else { room };
    let mut out = String::new();
    if style.width > 0 {
        out.push_str(&legend(style));
    }
    let (title, name_colour) = (colour(style, "1"), colour(style, "34;1"));
    out.push_str(&cell("IMAGE", first, false, title));
    for (head, width, right) in &COLUMNS[..shown] {
        out.push_str(SPACING);
        out.push_str(&cell(head, *width, *right, title));
    }
    out.push('\n');
    let details = |out: &mut String, cells: &[String; 4]| {
        for (text, (_, width, right)) in cells.iter().zip(COLUMNS).take(shown) {
            out.push_str(SPACING);
            out.push_str(&cell(text, width, right, None));
        }
    };
    for node in nodes {
        if node.names.is_empty() {
            out.push_str(&cell(UNTAGGED, first, false, colour(style, "2")));
        }
        for (at, name) in node.names.iter().enumerate() {
            let last = at + 1 == node.names.len();
            let wide = name.width() > first;
            out.push_str(&cell(name, first, false, name_colour));
            if !last || wide {
                out.push('\n');
            }
            if wide && last {
                out.push_str(&" ".repeat(first));
            }
        }
        details(&mut out, &node.cells);
        if expanded {
            out.push('\n');
        }
        for (at, (name, cells)) in node.below.iter().enumerate() {
            let branch = if at + 1 == node.below.len() { "└─ " } else { "├─ " };
            out.push_str(&cell(&format!("{branch}{name}"), first, false, None));
            details(&mut out, cells);
            out.push('\n');
        }
        out.push('\n');
    }
    out
}

/// Returns the first line, which explains the marks at its right end.
fn legend(style: Style) -> String {
    let (head, plain) = if style.colours {
        ("\x1b[1m\x1b[106m\x1b[30mi\x1b[0m\x1b[0m \x1b[96mInfo → \x1b[0m\x1b[0m".to_owned(), "i Info → ")
    } else {
        (" Info -> ".to_owned(), " Info -> ")
    };
    let mark = if style.colours { 3 } else { 1 };
    let width = plain.width() + 1 + mark + " In Use".len();
    format!("{}{head} {} In Use\n", " ".repeat(style.width.saturating_sub(width)), chip(style))
}

/// The mark of an image that containers were made from.
fn chip(style: Style) -> String {
    if style.colours { "\x1b[38;5;0m\x1b[48;5;14m U \x1b[0m".to_owned() } else { "U".to_owned() }
}

fn blank(style: Style) -> String {
    " ".repeat(if style.colours { 3 } else { 1 })
}

fn colour(style: Style, code: &'static str) -> Option<&'static str> {
    style.colours.then_some(code)
}

/// Fills a text up to a width. Names that are too long stay whole, other texts are cut.
fn cell(text: &str, width: usize, right: bool, colour: Option<&str>) -> String {
    // Escape sequences take no room.
    let taken = if text.starts_with('\x1b') { 3 } else { text.width() };
    let text = if taken > width && right { ellipsis(text, width) } else { text.to_owned() };
    let text = match colour {
        Some(code) => format!("\x1b[{code}m{text}\x1b[0m"),
        None => text,
    };
    let fill = " ".repeat(width.saturating_sub(taken));
    if right { format!("{fill}{text}") } else { format!("{text}{fill}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Style = Style { colours: false, width: 0 };

    fn node(names: &[&str], mark: &str, below: &[&str]) -> Node {
        let cells = || ["101010101010".to_owned(), "30.5MB".to_owned(), "25.2MB".to_owned(), mark.to_owned()];
        Node {
            names: names.iter().map(ToString::to_string).collect(),
            cells: cells(),
            below: below.iter().map(|name| ((*name).to_owned(), cells())).collect(),
        }
    }

    #[test]
    fn lays_out_as_docker_does() {
        let nodes = [node(&["a:1"], " ", &[]), node(&["short:v1"], "U", &[]), node(&[], " ", &[])];
        let text = "IMAGE        ID             DISK USAGE   CONTENT SIZE   EXTRA\n\
                    a:1          101010101010       30.5MB         25.2MB        \n\
                    short:v1     101010101010       30.5MB         25.2MB   U    \n\
                    <untagged>   101010101010       30.5MB         25.2MB        \n";
        assert_eq!(lay_out(&nodes, false, PLAIN), text);
        let nodes = [node(&["app:latest", "app:v1"], "U", &["linux/amd64"])];
        let text = "IMAGE            ID             DISK USAGE   CONTENT SIZE   EXTRA\n\
                    app:latest    \n\
                    app:v1           101010101010       30.5MB         25.2MB   U    \n\
                    └─ linux/amd64   101010101010       30.5MB         25.2MB   U    \n\n";
        assert_eq!(lay_out(&nodes, true, PLAIN), text);
    }

    #[test]
    fn fits_a_narrow_terminal() {
        let nodes = [node(&["registry.example/team/application:1"], "U", &[])];
        let text = lay_out(&nodes, false, Style { colours: false, width: 50 });
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], format!("{} Info ->  U In Use", " ".repeat(50 - 18)));
        assert!(lines[1].starts_with("IMAGE ") && lines[1].ends_with("DISK USAGE"), "{text}");
        assert_eq!(lines[2], "registry.example/team/application:1");
        assert!(lines[3].trim_start().starts_with("101010101010"), "{text}");
    }
}
