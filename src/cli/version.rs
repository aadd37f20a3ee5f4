//! `version` and `--version`.

use anyhow::{Result, anyhow};
use clap::{Args, FromArgMatches};
use serde_json::{Value, json};

use super::format::order::Ordered;
use super::format::template::{Shapes, Template};
use super::grammar::{Arity, Rules};
use super::help::Style;
use super::report::coded;
use super::session::Session;
use super::tree::Spec;
use crate::oci::Platform;

/// `version`
pub(super) const SPEC: Spec = Spec {
    paths: &["version"],
    about: "Show the version information",
    usage: "[OPTIONS]",
    rules: Rules { arity: Arity::None, interspersed: true, absent: &[] },
    define: VersionArgs::augment_args,
    run: |matches, _| run(&VersionArgs::from_arg_matches(matches)?),
};

/// The version of Docker's API whose behaviour scripts may count on.
pub(super) const API: &str = "1.50";
/// The oldest one.
const MIN_API: &str = "1.24";
/// The commit this was built from, where whoever built it said so.
pub(super) const COMMIT: &str = match option_env!("CORACLE_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};

#[derive(Debug, Args)]
struct VersionArgs {
    /// Format of the output: json, or a Go template
    #[arg(long, short, value_name = "string")]
    format: Option<String>,
}

/// Returns the answer to `--version`.
pub(super) fn line(style: &Style) -> String {
    let name = if style.program == "docker" { "Docker" } else { style.program };
    format!("{name} version {}, build {COMMIT}", version())
}

/// Returns coracle's version. It stands for Docker's, too: what that can do is told by the API's version.
pub(super) fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

fn run(args: &VersionArgs) -> Result<u8> {
    let facts = facts();
    let text = match args.format.as_deref() {
        None | Some("") => text(&facts),
        Some("json") => format!("{}\n", Ordered(&facts).line()),
        Some(template) => {
            let shapes =
                Shapes { maps: &["Details"], lists: &[], free: &[], type_name: Some("system.versionInfo") };
            let template = Template::parse(template).map_err(|error| {
                let error = error.to_string().replacen("template: :", "template: version:", 1);
                coded(64, format!("template parsing error: {error}"))
            })?;
            let text = template.render(&facts, &shapes).or_else(|error| {
                // As Docker: the line ends whatever comes of it.
                Session::print("\n")?;
                let named = error.to_string().replacen("template: :", "template: version:", 1);
                Err(anyhow!("{}", named.replacen("executing \"\"", "executing \"version\"", 1)))
            })?;
            format!("{text}\n")
        }
    };
    Session::print(&text)?;
    Ok(0)
}

fn facts() -> Value {
    let architecture = Platform::host().architecture;
    let uname = rustix::system::uname();
    let kernel = uname.release().to_string_lossy();
    let version = version();
    json!({
        "Client": {
            "Platform": { "Name": "coracle" },
            "Version": version,
            "ApiVersion": API,
            "APIVersion": API,
            "DefaultAPIVersion": API,
            "GitCommit": COMMIT,
            "GoVersion": "",
            "Os": "linux",
            "Arch": architecture,
            "BuildTime": "",
            "Context": "default",
        },
        "Server": {
            "Platform": { "Name": "coracle" },
            "Components": [{
                "Name": "Engine",
                "Version": version,
                "Details": {
                    "ApiVersion": API,
                    "Arch": architecture,
                    "BuildTime": "",
                    "Experimental": "false",
                    "GitCommit": COMMIT,
                    "GoVersion": "",
                    "KernelVersion": kernel,
                    "MinAPIVersion": MIN_API,
                    "Os": "linux",
                },
            }],
            "Version": version,
            "ApiVersion": API,
            "APIVersion": API,
            "MinAPIVersion": MIN_API,
            "GitCommit": COMMIT,
            "GoVersion": "",
            "Os": "linux",
            "Arch": architecture,
            "KernelVersion": kernel,
            "Experimental": false,
            "BuildTime": "",
        },
    })
}

fn text(facts: &Value) -> String {
    let word = |side: &str, key: &str| facts[side][key].as_str().unwrap_or_default().to_owned();
    let platform = |side: &str| format!("{}/{}", word(side, "Os"), word(side, "Arch"));
    format!(
        "Client: coracle\n Version:           {}\n API version:       {}\n Git commit:        {}\n \
         OS/Arch:           {}\n Context:           default\n\n\
         Server: coracle (no daemon: every command does its own work)\n Engine:\n  \
         Version:          {}\n  API version:      {} (minimum version {})\n  Git commit:       {}\n  \
         OS/Arch:          {}\n  Kernel:           {}\n",
        word("Client", "Version"),
        word("Client", "ApiVersion"),
        word("Client", "GitCommit"),
        platform("Client"),
        word("Server", "Version"),
        word("Server", "ApiVersion"),
        word("Server", "MinAPIVersion"),
        word("Server", "GitCommit"),
        platform("Server"),
        word("Server", "KernelVersion"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_what_tools_read() {
        let facts = facts();
        for path in
            ["/Server/Version", "/Client/Version", "/Server/APIVersion", "/Client/APIVersion", "/Server/Os"]
        {
            assert!(facts.pointer(path).is_some_and(|value| value != ""), "{path}");
        }
        assert!(text(&facts).contains("\nServer: coracle"));
        let style = Style { program: "docker", width: 80 };
        assert!(line(&style).starts_with(&format!("Docker version {}, build ", version())));
    }
}
