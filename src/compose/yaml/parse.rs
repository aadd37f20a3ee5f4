//! Text to nodes: events of the parser put together, with anchors and merge keys resolved.

use std::collections::HashMap;
use std::sync::Arc;

use granit_parser::{Event, Options, Parser, ScalarStyle, Span, Tag as EventTag};

use super::scalar::resolve;
use super::{Bad, Entry, Map, Mark, Node, Tag, Value};

/// The most nodes that a file may have, aliases counted by what they stand for.
const NODES: usize = 200_000;
/// How deep nodes may lie in each other.
const DEPTH: usize = 100;

/// Parses every document of a file.
pub(crate) fn parse(text: &str, file: &str) -> Result<Vec<Node>, Bad> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut options = Options::default();
    options.emit_comments = false;
    let parser = Parser::new_from_str_with_options(text, options);
    let mut builder = Builder { parser, file: Arc::from(file), anchors: HashMap::new(), nodes: 0, depth: 0 };
    let mut documents = Vec::new();
    while let Some((event, span)) = builder.next()? {
        match event {
            Event::DocumentEnd | Event::StreamStart | Event::DocumentStart(..) => {}
            Event::StreamEnd => break,
            event => {
                documents.push(builder.node(event, &span)?);
                builder.anchors.clear();
            }
        }
    }
    Ok(documents)
}

struct Builder<'a> {
    parser: Parser<'a, granit_parser::StrInput<'a>>,
    file: Arc<str>,
    /// The nodes that have an anchor, each with how many nodes it is.
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
    depth: usize,
}

impl<'a> Builder<'a> {
    fn next(&mut self) -> Result<Option<(Event<'a>, Span)>, Bad> {
        match self.parser.next_event() {
            None => Ok(None),
            Some(Ok(next)) => Ok(Some(next)),
            Some(Err(error)) => {
                let at = error.marker();
                let at = Mark { file: self.file.clone(), line: at.line(), column: at.col() + 1 };
                Err(Bad { message: error.info(), at })
            }
        }
    }

    fn mark(&self, span: &Span) -> Mark {
        Mark { file: self.file.clone(), line: span.start.line(), column: span.start.col() + 1 }
    }

    fn node(&mut self, event: Event<'a>, span: &Span) -> Result<Node, Bad> {
        let at = self.mark(span);
        let before = self.nodes;
        self.count(1, &at)?;
        let (node, anchor) = match event {
            Event::Alias(anchor) => {
                let Some((node, size)) = self.anchors.get(&anchor) else {
                    return Err(Bad { message: "anchor value contains itself".to_owned(), at });
                };
                let (mut node, size) = (node.clone(), *size);
                self.count(size, &at)?;
                node.at = at;
                return Ok(node);
            }
            Event::Scalar(text, style, anchor, tag) => (scalar(&text, style, tag.as_deref(), at)?, anchor),
            Event::SequenceStart(_, anchor, tag) => {
                let list = self.deeper(&at, Self::list)?;
                (Node { value: Value::List(list), at, tag: merge_tag(tag.as_deref()) }, anchor)
            }
            Event::MappingStart(_, anchor, tag) => {
                let map = self.deeper(&at, Self::map)?;
                (Node { value: Value::Map(map), at, tag: merge_tag(tag.as_deref()) }, anchor)
            }
            _ => return Err(Bad { message: "did not find expected node content".to_owned(), at }),
        };
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), self.nodes - before));
        }
        Ok(node)
    }

    fn count(&mut self, nodes: usize, at: &Mark) -> Result<(), Bad> {
        self.nodes += nodes;
        if self.nodes > NODES {
            return Err(Bad { message: "document contains excessive aliasing".to_owned(), at: at.clone() });
        }
        Ok(())
    }

    fn deeper<T>(&mut self, at: &Mark, read: fn(&mut Self) -> Result<T, Bad>) -> Result<T, Bad> {
        if self.depth == DEPTH {
            return Err(Bad { message: "exceeded max depth".to_owned(), at: at.clone() });
        }
        self.depth += 1;
        let read = read(self);
        self.depth -= 1;
        read
    }

    fn list(&mut self) -> Result<Vec<Node>, Bad> {
        let mut list = Vec::new();
        while let Some((event, span)) = self.next()? {
            if matches!(event, Event::SequenceEnd) {
                break;
            }
            list.push(self.node(event, &span)?);
        }
        Ok(list)
    }

    fn map(&mut self) -> Result<Map, Bad> {
        let mut map = Map::default();
        let mut merged: Vec<Node> = Vec::new();
        let mut places: HashMap<String, usize> = HashMap::new();
        while let Some((event, span)) = self.next()? {
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let plain = matches!(&event, Event::Scalar(_, ScalarStyle::Plain, _, None));
            let key = self.node(event, &span)?;
            let Some((event, span)) = self.next()? else { break };
            let node = self.node(event, &span)?;
            let Some(name) = key.scalar().or_else(|| key.is_null().then(String::new)) else {
                return Err(Bad { message: "a key of a mapping must be a scalar".to_owned(), at: key.at });
            };
            if plain && name == "<<" {
                match node.value {
                    Value::List(list) => merged.extend(list),
                    _ => merged.push(node),
                }
                continue;
            }
            if let Some(line) = places.insert(name.clone(), key.at.line) {
                let message = format!("mapping key {name:?} already defined at line {line}");
                return Err(Bad { message, at: key.at });
            }
            map.0.push(Entry { key: name, at: key.at, node });
        }
        for node in merged {
            let Value::Map(other) = node.value else {
                let message = "map merge requires map or sequence of maps as the value".to_owned();
                return Err(Bad { message, at: node.at });
            };
            for entry in other.0 {
                // What stands in the map itself counts, and of several maps the first.
                if let std::collections::hash_map::Entry::Vacant(place) = places.entry(entry.key.clone()) {
                    place.insert(entry.at.line);
                    map.0.push(entry);
                }
            }
        }
        Ok(map)
    }
}

fn merge_tag(tag: Option<&EventTag>) -> Tag {
    match tag.map(|tag| (tag.handle(), tag.suffix())) {
        Some(("!", "reset") | ("", "!reset")) => Tag::Reset,
        Some(("!", "override") | ("", "!override")) => Tag::Override,
        _ => Tag::None,
    }
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&EventTag>, at: Mark) -> Result<Node, Bad> {
    let core = tag.filter(|tag| tag.handle() == "tag:yaml.org,2002:").map(EventTag::suffix);
    let refused =
        |kind: &str| Bad { message: format!("cannot decode {text:?} as a !!{kind}"), at: at.clone() };
    let value = match core {
        Some("str" | "binary") => Value::String(text.to_owned()),
        Some("null") => Value::Null,
        Some("int") => match resolve(text) {
            Value::Int(number) => Value::Int(number),
            _ => return Err(refused("int")),
        },
        Some("float") => match resolve(text) {
            #[allow(clippy::cast_precision_loss, reason = "a number that is asked for as a float")]
            Value::Int(number) => Value::Float(number as f64),
            Value::Float(number) => Value::Float(number),
            _ => return Err(refused("float")),
        },
        Some("bool") => match resolve(text) {
            Value::Bool(value) => Value::Bool(value),
            _ => return Err(refused("bool")),
        },
        _ if style == ScalarStyle::Plain => resolve(text),
        _ => Value::String(text.to_owned()),
    };
    Ok(Node { value, at, tag: merge_tag(tag) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Node {
        parse(text, "f.yaml").unwrap().remove(0)
    }

    #[test]
    fn merges_and_aliases() {
        let node = one("a: &a {x: 1, y: 2}\nb: &b {y: 3, z: 4}\nc:\n  <<: [*a, *b]\n  x: 9\nd: *a\n");
        let c = node.get("c").unwrap();
        assert_eq!(c.get("x").unwrap().value, Value::Int(9));
        assert_eq!(c.get("y").unwrap().value, Value::Int(2));
        assert_eq!(c.get("z").unwrap().value, Value::Int(4));
        assert_eq!(node.get("d"), node.get("a"));
    }

    #[test]
    fn keeps_tags_and_places() {
        let node = one("a: !reset null\nb: !override\n  - 1\nc: !!str 5\n");
        assert_eq!(node.get("a").unwrap().tag, Tag::Reset);
        assert_eq!(node.get("b").unwrap().tag, Tag::Override);
        assert_eq!(node.get("c").unwrap().as_str(), Some("5"));
        let at = &node.get("c").unwrap().at;
        assert_eq!((at.line, &*at.file), (4, "f.yaml"));
    }

    #[test]
    fn refuses_what_is_wrong() {
        let bad = |text: &str| parse(text, "f.yaml").unwrap_err().to_string();
        assert_eq!(
            bad("s:\n  a: 1\n  a: 2\n"),
            "f.yaml: yaml: line 3, column 3: mapping key \"a\" already defined at line 2"
        );
        assert!(bad("a: [\n").starts_with("f.yaml: yaml: line "));
        assert!(bad("<<: 5\n").contains("map merge requires"));
    }

    #[test]
    fn bombs_do_not_explode() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let before = format!("*a{}", level - 1);
            text = format!("{text}a{level}: &a{level} [{}]\n", vec![before; 9].join(", "));
        }
        assert!(parse(&text, "f").unwrap_err().message.contains("excessive aliasing"));
        let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
        assert!(parse(&deep, "f").is_err());
    }
}
