//! A model as text: what `config` prints.

use std::fmt::Write as _;

use super::Loaded;
use super::schema;
use super::shape::{arrange, natural};
use super::yaml::{Node, Value, emit};

impl Loaded {
    /// Returns the model as YAML.
    pub fn yaml(&self) -> String {
        emit(&self.printed())
    }

    /// Returns the model as JSON, indented by two, without a line's end, as Go writes it.
    pub fn json(&self) -> String {
        let mut node = self.printed();
        if let Some(map) = node.as_map_mut() {
            map.0.sort_by(|a, b| a.key.cmp(&b.key));
            for section in [("networks", "ipam")] {
                let things = map.get_mut(section.0).and_then(Node::as_map_mut);
                for thing in things.into_iter().flat_map(|map| &mut map.0) {
                    let at = thing.at.clone();
                    if let Some(map) = thing.node.as_map_mut().filter(|_| self.how.normalize) {
                        map.add(section.1, || Node::map(&at));
                    }
                }
            }
            let services = map.get_mut("services").and_then(Node::as_map_mut);
            for service in services.into_iter().flat_map(|map| &mut map.0) {
                let at = service.at.clone();
                let deploy = service.node.as_map_mut().and_then(|map| map.get_mut("deploy"));
                if let Some(deploy) = deploy.and_then(Node::as_map_mut) {
                    for key in ["resources", "placement"] {
                        deploy.add(key, || Node::map(&at));
                    }
                }
            }
            if self.how.normalize {
                let services = map.get_mut("services").and_then(Node::as_map_mut);
                for service in services.into_iter().flat_map(|map| &mut map.0) {
                    let at = service.at.clone();
                    if let Some(map) = service.node.as_map_mut() {
                        map.add("command", || Node::new(Value::Null, &at));
                        map.add("entrypoint", || Node::new(Value::Null, &at));
                    }
                }
            }
        }
        if let Some(services) = node.as_map_mut().and_then(|map| map.get_mut("services")) {
            arrange(services, &super::shape::Shape::Names(&schema::SERVICE), str::cmp);
        }
        if let Some(networks) = node.as_map_mut().and_then(|map| map.get_mut("networks")) {
            arrange(networks, &super::shape::Shape::Names(&schema::NETWORK), str::cmp);
        }
        let mut out = String::new();
        json(&mut out, &node, 0);
        out
    }

    /// Returns the names of the models.
    pub fn models(&self) -> Vec<String> {
        let models = self.model.get("models").and_then(Node::as_map);
        models.into_iter().flat_map(super::yaml::Map::keys).map(str::to_owned).collect()
    }

    /// Replaces the image of a service by another name for it.
    pub fn set_image(&mut self, service: &str, image: &str) {
        let services =
            self.model.as_map_mut().and_then(|map| map.get_mut("services")).and_then(Node::as_map_mut);
        if let Some(node) = services.and_then(|map| map.get_mut(service)) {
            let at = node.at.clone();
            if let Some(map) = node.as_map_mut() {
                map.set("image", Node::string(image, &at));
            }
        }
    }

    /// Keeps only these services, and what they need if that is wanted.
    pub fn keep(&mut self, services: &[String]) {
        if let Some(map) =
            self.model.as_map_mut().and_then(|map| map.get_mut("services")).and_then(Node::as_map_mut)
        {
            map.0.retain(|entry| services.contains(&entry.key));
        }
        super::check::drop_unused(&mut self.model);
    }

    /// Returns the variables that the files use: a table of names, whether they are needed, and defaults.
    pub fn variables_used(&self) -> Vec<[String; 4]> {
        let row = |(name, variable): (&String, &super::interpolate::Variable)| {
            [name.clone(), variable.required.to_string(), variable.default.clone(), variable.presence.clone()]
        };
        self.seen.variables.iter().map(row).collect()
    }

    fn printed(&self) -> Node {
        let mut node = self.model.clone();
        if let Some(map) = node.as_map_mut() {
            map.add("services", || Node::map(&super::yaml::Mark::nowhere()));
        }
        prune(&mut node);
        if self.how.interpolate {
            escape(&mut node);
        }
        arrange(&mut node, &schema::PROJECT, natural);
        node
    }
}

/// Leaves out what says nothing: false, and empty lists and maps that need not be said.
fn prune(root: &mut Node) {
    let services = root.as_map_mut().and_then(|map| map.get_mut("services")).and_then(Node::as_map_mut);
    for entry in services.into_iter().flat_map(|map| &mut map.0) {
        let Some(service) = entry.node.as_map_mut() else { continue };
        service.0.retain(|entry| match &entry.node.value {
            Value::Bool(false) => matches!(entry.key.as_str(), "attach" | "init"),
            Value::List(list) => !list.is_empty() || matches!(entry.key.as_str(), "command" | "entrypoint"),
            Value::Map(map) => !map.0.is_empty(),
            _ => true,
        });
        for key in ["volumes", "ports"] {
            let Some(Value::List(items)) = service.get_mut(key).map(|node| &mut node.value) else { continue };
            for item in items.iter_mut().filter_map(Node::as_map_mut) {
                if item.get("type").and_then(Node::as_str) == Some("volume") {
                    let at = item.0[0].at.clone();
                    item.add("volume", || Node::map(&at));
                }
                item.0.retain(|entry| !matches!(entry.node.value, Value::Bool(false)));
                for inner in item.0.iter_mut().filter_map(|entry| entry.node.as_map_mut()) {
                    inner.0.retain(|entry| !matches!(entry.node.value, Value::Bool(false)));
                }
            }
        }
        let depends = service.get_mut("depends_on").and_then(Node::as_map_mut);
        for dependency in depends.into_iter().flat_map(|map| &mut map.0) {
            if let Some(map) = dependency.node.as_map_mut() {
                map.0.retain(|entry| {
                    entry.key == "required" || !matches!(entry.node.value, Value::Bool(false))
                });
            }
        }
    }
    let Some(map) = root.as_map_mut() else { return };
    for section in ["networks", "volumes"] {
        for entry in map.get_mut(section).and_then(Node::as_map_mut).into_iter().flat_map(|map| &mut map.0) {
            if let Some(thing) = entry.node.as_map_mut() {
                thing.0.retain(|entry| !matches!(entry.node.value, Value::Bool(false)));
            }
        }
    }
    map.0.retain(|entry| entry.key == "services" || !entry.node.as_map().is_some_and(|map| map.0.is_empty()));
}

/// Doubles every dollar, so that what is printed means the same when it is read.
fn escape(node: &mut Node) {
    match &mut node.value {
        Value::String(text) if text.contains('$') => *text = text.replace('$', "$$"),
        Value::List(list) => list.iter_mut().for_each(escape),
        Value::Map(map) => map.0.iter_mut().for_each(|entry| escape(&mut entry.node)),
        _ => {}
    }
}

fn json(out: &mut String, node: &Node, indent: usize) {
    let inner = indent + 2;
    match &node.value {
        Value::List(list) if !list.is_empty() => {
            out.push_str("[\n");
            for (at, item) in list.iter().enumerate() {
                let _ = write!(out, "{:inner$}", "");
                json(out, item, inner);
                out.push_str(if at + 1 == list.len() { "\n" } else { ",\n" });
            }
            let _ = write!(out, "{:indent$}]", "");
        }
        Value::Map(map) if !map.0.is_empty() => {
            out.push_str("{\n");
            for (at, entry) in map.0.iter().enumerate() {
                let _ =
                    write!(out, "{:inner$}{}: ", "", quoted(&serde_json::Value::from(entry.key.as_str())));
                json(out, &entry.node, inner);
                out.push_str(if at + 1 == map.0.len() { "\n" } else { ",\n" });
            }
            let _ = write!(out, "{:indent$}}}", "");
        }
        _ => out.push_str(&quoted(&super::yaml::to_json(node))),
    }
}

/// Writes a value as Go's JSON does, which is fit to stand in HTML.
fn quoted(value: &serde_json::Value) -> String {
    let mut text = value.to_string();
    for (sign, code) in [
        ('<', "\\u003c"),
        ('>', "\\u003e"),
        ('&', "\\u0026"),
        ('\u{2028}', "\\u2028"),
        ('\u{2029}', "\\u2029"),
    ] {
        if text.contains(sign) {
            text = text.replace(sign, code);
        }
    }
    text
}
