//! `inspect`, `container inspect`, `image inspect` and `network inspect`.

use anyhow::{Result, anyhow};
use clap::{Args, FromArgMatches};
use serde::Serialize as _;
use serde_json::Value;

use super::format::order::Ordered;
use super::format::template::{Shapes, Template};
use super::format::{parse, parsing_error};
use super::grammar::{Arity, Rules};
use super::report::{coded, response};
use super::rmi::check_platform;
use super::session::Session;
use super::tree::Spec;
use super::volume;
use crate::container::{self, FindError};
use crate::image::{self, ResolveError};
use crate::network;
use crate::oci::Platform;
use crate::store::MapKey;

const RULES: Rules = Rules { arity: Arity::AtLeast(1), interspersed: true, absent: &[] };

/// `inspect`
pub(super) const SPEC: Spec = Spec {
    paths: &["inspect"],
    about: "Return low-level information on Docker objects",
    usage: "[OPTIONS] NAME|ID [NAME|ID...]",
    rules: RULES,
    define: InspectArgs::augment_args,
    run: |matches, session| {
        let args = InspectArgs::from_arg_matches(matches)?;
        let kind = match args.kind.as_deref() {
            None => Kind::Any,
            Some("container") => Kind::Container,
            Some("image") => Kind::Image(None),
            Some("network") => Kind::Network,
            Some("volume") => Kind::Volume,
            Some(other) => anyhow::bail!("{}", unknown_kind(other)),
        };
        run(&args.names, args.format.as_deref(), kind, args.size, session)
    },
};

/// `container inspect`
pub(super) const CONTAINER: Spec = Spec {
    paths: &["container inspect"],
    about: "Display detailed information on one or more containers",
    usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    rules: RULES,
    define: ContainerArgs::augment_args,
    run: |matches, session| {
        let args = ContainerArgs::from_arg_matches(matches)?;
        run(&args.names, args.format.as_deref(), Kind::Container, args.size, session)
    },
};

/// `network inspect`
pub(super) const NETWORK: Spec = Spec {
    paths: &["network inspect"],
    about: "Display detailed information on one or more networks",
    usage: "[OPTIONS] NETWORK [NETWORK...]",
    rules: RULES,
    define: NetworkArgs::augment_args,
    run: |matches, session| {
        let args = NetworkArgs::from_arg_matches(matches)?;
        run(&args.names, args.format.as_deref(), Kind::Network, false, session)
    },
};

/// `image inspect`
pub(super) const IMAGE: Spec = Spec {
    paths: &["image inspect"],
    about: "Display detailed information on one or more images",
    usage: "[OPTIONS] IMAGE [IMAGE...]",
    rules: RULES,
    define: ImageArgs::augment_args,
    run: |matches, session| {
        let args = ImageArgs::from_arg_matches(matches)?;
        let platform = args.platform.as_deref().map(str::parse).transpose()?;
        let kind = Kind::Image(platform.as_ref());
        run(&args.names, args.format.as_deref(), kind, false, session)
    },
};

#[derive(Debug, Args)]
struct InspectArgs {
    /// Format of the output: json, or a Go template
    #[arg(long, short, value_name = "string")]
    format: Option<String>,
    /// Count how much disk a container takes
    #[arg(long, short)]
    size: bool,
    /// Only inspect objects of this type: container, image, network or volume
    #[arg(long = "type", value_name = "string")]
    kind: Option<String>,
    /// Containers, images, networks and volumes
    #[arg(value_name = "NAME|ID")]
    names: Vec<String>,
}

#[derive(Debug, Args)]
struct ContainerArgs {
    /// Format of the output: json, or a Go template
    #[arg(long, short, value_name = "string")]
    format: Option<String>,
    /// Count how much disk it takes
    #[arg(long, short)]
    size: bool,
    /// Containers
    #[arg(value_name = "CONTAINER")]
    names: Vec<String>,
}

#[derive(Debug, Args)]
struct ImageArgs {
    /// Format of the output: json, or a Go template
    #[arg(long, short, value_name = "string")]
    format: Option<String>,
    /// Inspect the image only if it is for this platform (os[/arch[/variant]])
    #[arg(long, value_name = "string")]
    platform: Option<String>,
    /// Images
    #[arg(value_name = "IMAGE")]
    names: Vec<String>,
}

#[derive(Debug, Args)]
struct NetworkArgs {
    /// Format of the output: json, or a Go template
    #[arg(long, short, value_name = "string")]
    format: Option<String>,
    /// Accepted; there is no more to tell
    #[arg(long, short)]
    verbose: bool,
    /// Networks
    #[arg(value_name = "NETWORK")]
    names: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind<'a> {
    Any,
    Container,
    /// An image, of this platform if there is one.
    Image(Option<&'a Platform>),
    Network,
    Volume,
}

/// What JSON does not tell of containers and images.
const SHAPES: Shapes = Shapes {
    maps: &[
        "Annotations",
        "AuxiliaryAddresses",
        "Containers",
        "Data",
        "ExposedPorts",
        "Labels",
        "Networks",
        "Options",
        "PortBindings",
        "Ports",
        "StorageOpt",
        "Sysctls",
        "Tmpfs",
        "Volumes",
    ],
    lists: &[
        "Aliases",
        "Args",
        "BindMounts",
        "Binds",
        "CapAdd",
        "CapDrop",
        "Cmd",
        "DNSNames",
        "Devices",
        "Dns",
        "DnsOptions",
        "DnsSearch",
        "Entrypoint",
        "Env",
        "ExecIDs",
        "ExtraHosts",
        "GroupAdd",
        "Layers",
        "Links",
        "MaskedPaths",
        "Mounts",
        "OnBuild",
        "ReadonlyPaths",
        "RepoDigests",
        "RepoTags",
        "SecurityOpt",
        "Shell",
        "Ulimits",
        "VolumesFrom",
    ],
    free: &[],
    type_name: None,
};

/// Fields that Docker leaves out of JSON where they are empty, and that its templates know all the same.
const OMITTED: &[(&str, &str)] = &[
    ("State", "Health"),
    ("Config", "ExposedPorts"),
    ("Config", "Healthcheck"),
    ("Config", "Shell"),
    ("Config", "StopSignal"),
    ("Config", "StopTimeout"),
    ("Config", "ArgsEscaped"),
    ("HostConfig", "Annotations"),
    ("HostConfig", "Init"),
    ("HostConfig", "Mounts"),
    ("HostConfig", "StorageOpt"),
    ("HostConfig", "Sysctls"),
    ("HostConfig", "Tmpfs"),
];

fn unknown_kind(kind: &str) -> String {
    match kind {
        "config" | "node" | "plugin" | "secret" | "service" | "task" => {
            format!("--type {kind} is not supported yet: there are container, image, network and volume")
        }
        other => format!(
            "unknown type: \"{other}\": must be one of \"config\", \"container\", \"image\", \"network\", \
             \"node\", \"plugin\", \"secret\", \"service\", \"task\", \"volume\""
        ),
    }
}

/// Prints everything about what several names mean.
pub(super) fn run(
    names: &[String],
    format: Option<&str>,
    kind: Kind<'_>,
    size: bool,
    session: &Session,
) -> Result<u8> {
    let template = match format {
        None | Some("" | "json") => None,
        Some(text) => Some(parse(text).map_err(|error| coded(64, format!("{error:#}")))?),
    };
    let mut found = Vec::new();
    let mut lines = String::new();
    let mut errors = Vec::new();
    for name in names {
        match object(name, kind, size, session) {
            Ok(value) => match &template {
                None => found.push(value),
                Some(template) => match render(template, value) {
                    Ok(line) => lines.extend([line.as_str(), "\n"]),
                    Err(error) => errors.push(format!("{error:#}")),
                },
            },
            Err(error) => errors.push(format!("{error:#}")),
        }
    }
    let text = match (template, format) {
        // As Docker: nothing rendered is an empty line.
        (Some(_), _) if lines.is_empty() => "\n".to_owned(),
        (Some(_), _) => lines,
        (None, Some("json")) => format!("{}\n", Ordered(&Value::Array(found)).line()),
        (None, _) => format!("{}\n", pretty(&found)?),
    };
    Session::print(&text)?;
    if errors.is_empty() { Ok(0) } else { Err(coded(1, errors.join("\n"))) }
}

/// Finds what a name means and tells everything of it: a container, or else an image, or else a network.
fn object(name: &str, kind: Kind<'_>, size: bool, session: &Session) -> Result<Value> {
    let store = session.store()?;
    if kind == Kind::Network {
        return container::inspect_network(store, name).map_err(response);
    }
    if kind == Kind::Volume {
        let volume = volume::describe(store, name).map_err(response)?;
        return volume.ok_or_else(|| response(anyhow!("get {name}: no such volume")));
    }
    if let Kind::Image(platform) = kind {
        check_platform(store, name, platform.cloned().as_slice()).map_err(response)?;
    } else {
        match container::find(store, name) {
            Ok(dir) => return container::inspect(store, &dir, size).map_err(response),
            Err(error) if kind == Kind::Any && error.is::<FindError>() => {}
            Err(error) => return Err(response(error)),
        }
    }
    match image::resolve(session.image_store()?, name) {
        Ok(record) => {
            let map = MapKey::of(&Session::identity()?.map.text());
            image::inspect(store, &record, &map).map_err(response)
        }
        Err(error) if kind == Kind::Any && error.is::<ResolveError>() => {
            container::inspect_network(store, name)
                .map_err(|error| {
                    if error.is::<network::FindError>() {
                        anyhow!("error: no such object: {name}")
                    } else {
                        response(error)
                    }
                })
                .or_else(|error| volume::describe(store, name)?.ok_or(error))
        }
        Err(error) => Err(response(error)),
    }
}

fn render(template: &Template, mut value: Value) -> Result<String> {
    for (object, field) in OMITTED {
        if let Some(object) = value.get_mut(*object).and_then(Value::as_object_mut) {
            object.entry(*field).or_insert(match *field {
                "StopSignal" => Value::from(""),
                _ => Value::Null,
            });
        }
    }
    template.render(&value, &SHAPES).map_err(parsing_error)
}

/// Writes JSON with Docker's indentation.
pub(super) fn pretty(values: &[Value]) -> Result<String> {
    let mut bytes = Vec::new();
    let indent = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let values: Vec<_> = values.iter().map(Ordered).collect();
    values.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, indent))?;
    Ok(String::from_utf8(bytes)?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn templates_know_what_is_left_out() {
        let value = json!({
            "State": {"Running": false},
            "Config": {"Labels": null, "Cmd": null},
            "NetworkSettings": {"Networks": {"none": {"IPAddress": ""}}, "Ports": {}},
        });
        let render = |text: &str| render(&Template::parse(text).unwrap(), value.clone()).unwrap();
        assert_eq!(render("{{if .State.Health}}h{{else}}none{{end}}"), "none");
        assert_eq!(
            render("{{index .Config.Labels \"x\"}}{{.Config.Labels.y}}{{.Config.Cmd}}"),
            "<no value>[]"
        );
        assert_eq!(render("{{range .NetworkSettings.Networks}}<{{.IPAddress}}>{{end}}"), "<>");
        assert_eq!(render("{{range $p, $c := .NetworkSettings.Ports}}x{{end}}{{.Config.StopSignal}}"), "");
    }

    #[test]
    fn writes_dockers_indentation() {
        assert_eq!(pretty(&[json!({"Id": "x"})]).unwrap(), "[\n    {\n        \"Id\": \"x\"\n    }\n]");
        assert_eq!(pretty(&[]).unwrap(), "[]");
    }
}
