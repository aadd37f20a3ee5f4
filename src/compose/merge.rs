//! One file over another, key by key. Both are in canonical form.

use super::yaml::{Entry, Map, Node, Tag, Value};

/// Lays `over` on `base`. `path` is where both stand.
pub(super) fn merge(base: Node, over: Node, path: &mut Vec<String>) -> Node {
    if over.tag == Tag::Override {
        return over;
    }
    let last = path.last().map(String::as_str).unwrap_or_default();
    match (base.value, over.value) {
        (Value::Map(base), Value::Map(over_map)) => {
            let base =
                if last == "logging" && other_driver(&base, &over_map) { Map::default() } else { base };
            let merged = merge_maps(base, over_map, path);
            Node { value: Value::Map(merged), at: over.at, tag: Tag::None }
        }
        (Value::List(base), Value::List(over_list)) if !is_replaced(path) => {
            Node { value: Value::List(append(base, over_list, last)), at: over.at, tag: Tag::None }
        }
        // `networks: {back: }` says nothing of what is known of it.
        (base @ Value::Map(_), Value::Null) => Node { value: base, at: over.at, tag: Tag::None },
        (_, value) => Node { value, at: over.at, tag: Tag::None },
    }
}

fn merge_maps(mut base: Map, over: Map, path: &mut Vec<String>) -> Map {
    for entry in over.0 {
        if entry.node.tag == Tag::Reset {
            base.remove(&entry.key);
            continue;
        }
        let Some(at) = base.0.iter().position(|known| known.key == entry.key) else {
            base.0.push(entry);
            continue;
        };
        let below = std::mem::replace(&mut base.0[at].node, Node::new(Value::Null, &entry.at));
        path.push(entry.key.clone());
        let node = merge(below, entry.node, path);
        path.pop();
        base.0[at] = Entry { key: entry.key, at: entry.at, node };
    }
    base
}

fn other_driver(base: &Map, over: &Map) -> bool {
    match (base.get("driver"), over.get("driver")) {
        (Some(base), Some(over)) => base != over,
        _ => false,
    }
}

/// Tells whether a list comes in place of the one below it.
fn is_replaced(path: &[String]) -> bool {
    match path.last().map(String::as_str) {
        Some("command" | "entrypoint") => true,
        Some("test") => path.len() > 1 && path[path.len() - 2] == "healthcheck",
        _ => false,
    }
}

/// What makes two items of a list the same thing: the later one counts.
fn identity(item: &Node, list: &str) -> Option<String> {
    let text = |key: &str| item.get(key).and_then(Node::scalar).unwrap_or_default();
    Some(match list {
        "ports" => {
            format!("{}:{}:{}/{}", text("host_ip"), text("published"), text("target"), text("protocol"))
        }
        "volumes" => text("target"),
        "secrets" | "configs" => match item.text("target") {
            Some(target) => target.to_owned(),
            None => text("source"),
        },
        "devices" if item.get("target").is_some() => text("target"),
        "env_file" => text("path"),
        "watch" => text("path"),
        "config" if item.get("subnet").is_some() => text("subnet"),
        _ => return item.scalar(),
    })
}

fn append(base: Vec<Node>, over: Vec<Node>, list: &str) -> Vec<Node> {
    let mut merged = base;
    for item in over {
        let id = identity(&item, list);
        match merged.iter().position(|known| id.is_some() && identity(known, list) == id) {
            Some(at) => merged[at] = item,
            None => merged.push(item),
        }
    }
    merged
}

/// Takes away what is reset where nothing lies below, and forgets the tags.
pub(super) fn settle(node: &mut Node) {
    node.tag = Tag::None;
    match &mut node.value {
        Value::Map(map) => {
            map.0.retain(|entry| entry.node.tag != Tag::Reset);
            map.0.iter_mut().for_each(|entry| settle(&mut entry.node));
        }
        Value::List(list) => {
            list.retain(|item| item.tag != Tag::Reset);
            list.iter_mut().for_each(settle);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::yaml::{emit, parse};
    use super::*;

    fn merged(base: &str, over: &str) -> String {
        let one = |text: &str| parse(text, "f").unwrap().remove(0);
        let mut node = merge(one(base), one(over), &mut Vec::new());
        settle(&mut node);
        emit(&node)
    }

    #[test]
    fn merges_by_key() {
        assert_eq!(merged("a: {x: 1, y: 2}", "a: {y: 3}"), "a:\n  x: 1\n  \"y\": 3\n");
        assert_eq!(merged("dns: [a, b]", "dns: [b, c]"), "dns:\n  - a\n  - b\n  - c\n");
        assert_eq!(merged("command: [a]", "command: [b]"), "command:\n  - b\n");
        assert_eq!(
            merged("healthcheck: {test: [a]}", "healthcheck: {test: [b]}"),
            "healthcheck:\n  test:\n    - b\n"
        );
        assert_eq!(
            merged("volumes: [{source: a, target: /x}]", "volumes: [{source: b, target: /x}]"),
            "volumes:\n  - source: b\n    target: /x\n"
        );
        assert_eq!(
            merged("logging: {driver: a, options: {x: y}}", "logging: {driver: b}"),
            "logging:\n  driver: b\n"
        );
    }

    #[test]
    fn resets_and_overrides() {
        assert_eq!(merged("a: {x: 1, z: 2}", "a: {x: !reset null}"), "a:\n  z: 2\n");
        assert_eq!(merged("dns: [a]", "dns: !override [b]"), "dns:\n  - b\n");
        assert_eq!(merged("b: 1", "a: !reset 5"), "b: 1\n");
    }
}
