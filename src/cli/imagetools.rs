//! `buildx imagetools create` and `inspect`

use std::fmt::Write as _;
use std::time::Instant;

use anyhow::{Context, Result, anyhow, bail};
use clap::{ArgAction, Args, FromArgMatches};

use super::format::template::Shapes;
use super::format::{parse, parsing_error};
use super::grammar::{Arity, Rules};
use super::manifest::{named, registries};
use super::session::Session;
use super::tree::Spec;
use crate::image::imagetools::{self, ImageSource, Remark};
use crate::image::index::{Entry, Listing, indent, is_index};
use crate::image::remote::Remote;
use crate::image::view::{Wanted, view};

/// `buildx imagetools create`
pub(super) const CREATE: Spec = Spec {
    paths: &["buildx imagetools create"],
    about: "Create a new image based on source images",
    usage: "[OPTIONS] [SOURCE...]",
    rules: Rules { arity: Arity::AtLeast(0), interspersed: true, absent: &[] },
    define: CreateArgs::augment_args,
    run: |matches, session| create(&CreateArgs::from_arg_matches(matches)?, session).map_err(of_plugin),
};

/// `buildx imagetools inspect`
pub(super) const INSPECT: Spec = Spec {
    paths: &["buildx imagetools inspect"],
    about: "Show details of an image in the registry",
    usage: "[OPTIONS] NAME",
    rules: Rules { arity: Arity::Exactly(1), interspersed: true, absent: &[] },
    define: InspectArgs::augment_args,
    run: |matches, session| inspect(&InspectArgs::from_arg_matches(matches)?, session).map_err(of_plugin),
};

#[derive(Debug, Args)]
struct CreateArgs {
    /// Add annotation to the image
    #[arg(long, value_name = "stringArray")]
    annotation: Vec<String>,
    /// Append to existing manifest
    #[arg(long)]
    append: bool,
    /// Show final image instead of pushing
    #[arg(long)]
    dry_run: bool,
    /// Read source descriptor from file
    #[arg(long, short, value_name = "stringArray")]
    file: Vec<String>,
    /// When only a single source is specified, prefer outputting an image index or manifest list instead of
    /// performing a carbon copy
    #[arg(long, default_value = "true", default_missing_value = "true", num_args = 0..=1, require_equals = true, action = ArgAction::Set)]
    prefer_index: bool,
    /// Set type of progress output: "auto", "plain" or "quiet"
    #[arg(long, value_name = "string", default_value = "auto")]
    progress: String,
    /// Set reference for new image
    #[arg(long, short, value_name = "stringArray")]
    tag: Vec<String>,
    /// Sources
    #[arg(value_name = "SOURCE")]
    sources: Vec<String>,
}

#[derive(Debug, Args)]
struct InspectArgs {
    /// Format the output using the given Go template
    #[arg(long, value_name = "string")]
    format: Option<String>,
    /// Show original, unformatted JSON manifest
    #[arg(long)]
    raw: bool,
    /// Image
    #[arg(value_name = "NAME")]
    name: String,
}

/// Tells an error as Docker's plugin does.
fn of_plugin(error: anyhow::Error) -> anyhow::Error {
    anyhow!("ERROR: {error:#}")
}

fn create(args: &CreateArgs, session: &Session) -> Result<u8> {
    if args.sources.is_empty() && args.file.is_empty() {
        bail!("no sources specified");
    }
    if !args.dry_run && args.tag.is_empty() {
        bail!("can't push with no tags specified, please set --tag or --dry-run");
    }
    let mut words = Vec::new();
    words.extend(args.tag.first().filter(|_| args.append).cloned());
    for path in &args.file {
        words.push(std::fs::read_to_string(path).with_context(|| format!("open {path}"))?);
    }
    words.extend(args.sources.iter().cloned());
    let sources = words.iter().map(|word| ImageSource::parse(word)).collect::<Result<Vec<_>>>()?;
    let tags = args.tag.iter().map(|tag| named(tag)).collect::<Result<Vec<_>>>()?;
    let remarks = args.annotation.iter().map(|text| Remark::parse(text)).collect::<Result<Vec<_>>>()?;
    let registries = registries(session, false);
    let combined = imagetools::combine(&registries, &sources, &tags, &remarks, args.prefer_index)?;
    if args.dry_run {
        Session::print(&format!("{}\n", String::from_utf8_lossy(&combined.bytes)))?;
        return Ok(0);
    }
    let quiet = args.progress == "quiet";
    let note = |text: &str| {
        if !quiet {
            Session::note(text);
        }
    };
    for (at, tag) in tags.iter().enumerate() {
        let (step, begun) = (at + 1, Instant::now());
        note(&format!("#{step} [internal] pushing {tag}"));
        combined.push(&registries, tag, |line| {
            note(&format!("#{step} {:.3} {line}", begun.elapsed().as_secs_f64()));
        })?;
        note(&format!("#{step} DONE {:.1}s", begun.elapsed().as_secs_f64()));
    }
    Ok(0)
}

fn inspect(args: &InspectArgs, session: &Session) -> Result<u8> {
    let reference = named(&args.name)?;
    let registries = registries(session, false);
    let remote = registries.get(&reference)?;
    if args.raw {
        // No newline, so that the digest is that of what is printed.
        Session::print(&String::from_utf8_lossy(&remote.bytes))?;
        return Ok(0);
    }
    let format = args.format.as_deref().unwrap_or_default();
    if matches!(format, "" | "{{.Manifest}}" | "{{ .Manifest }}") {
        Session::print(&table(&remote)?)?;
        return Ok(0);
    }
    let template = parse(format)?;
    let wanted = Wanted {
        images: format.contains(".Image") || format.contains("json .}}") || format.contains("json . }}"),
        sbom: format.contains(".SBOM"),
        provenance: format.contains(".Provenance"),
    };
    let view = view(&registries, &args.name, &remote, wanted)?;
    let shapes = Shapes {
        maps: &["annotations", "Labels", "ExposedPorts", "Volumes"],
        free: &["SBOM", "Provenance"],
        ..Shapes::default()
    };
    let mut text = template.render_go_names(&view, &shapes).map_err(parsing_error)?;
    if format.starts_with("{{json ") && format.matches("{{").count() == 1 {
        text = indent(&text, "  ");
    }
    Session::print(&text)?;
    Ok(0)
}

/// Lines of a label and a value each, aligned in blocks.
#[derive(Default)]
struct Lines {
    out: String,
    block: Vec<(String, String)>,
}

impl Lines {
    fn add(&mut self, label: &str, value: &str) {
        self.block.push((label.to_owned(), value.to_owned()));
    }

    fn flush(&mut self) {
        let width = self.block.iter().map(|(label, _)| label.chars().count()).max().unwrap_or(0) + 1;
        for (label, value) in self.block.drain(..) {
            // Writing to a string cannot fail.
            let _ = writeln!(self.out, "{label:<width$}{value}");
        }
    }
}

/// Writes what is known about an image as `buildx` does, to the spaces at the ends of lines.
fn table(remote: &Remote) -> Result<String> {
    let mut lines = Lines::default();
    let digest = |entry: &Entry| entry.digest.map(|digest| digest.to_string()).unwrap_or_default();
    lines.add("Name:", &remote.reference.to_string());
    lines.add("MediaType:", &remote.entry.media_type);
    lines.add("Digest:", &digest(&remote.entry));
    lines.flush();
    if !is_index(&remote.entry.media_type) {
        return Ok(lines.out);
    }
    lines.add("", "");
    lines.add("Manifests:", "");
    lines.flush();
    for (at, entry) in Listing::parse(&remote.bytes)?.manifests.iter().enumerate() {
        if at > 0 {
            lines.add("", "");
        }
        let name = match entry.digest {
            Some(digest) if remote.reference.digest().is_none() => format!("{}@{digest}", remote.reference),
            Some(digest) => remote.reference.with_digest(digest).to_string(),
            None => remote.reference.to_string(),
        };
        lines.add("  Name:", &name);
        lines.add("  MediaType:", &entry.media_type);
        if let Some(platform) = &entry.platform {
            lines.add("  Platform:", &platform.text());
            if !platform.os_version.is_empty() {
                lines.add("  OSVersion:", &platform.os_version);
            }
            if !platform.os_features.is_empty() {
                lines.add("  OSFeatures:", &platform.os_features.join(", "));
            }
        }
        if let Some(annotations) = entry.annotations.as_ref().filter(|all| !all.is_empty()) {
            lines.add("  Annotations:", "");
            lines.flush();
            for (key, value) in annotations {
                lines.add(&format!("    {key}:"), value);
            }
            lines.flush();
        }
    }
    lines.flush();
    Ok(lines.out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::{Digest, Reference};

    #[test]
    fn lays_out_an_index() {
        let digest = Digest::of(b"");
        let bytes = format!(
            r#"{{"schemaVersion":2,"manifests":[
                {{"mediaType":"m","digest":"{digest}","size":1,"platform":{{"os":"linux","architecture":"amd64"}}}},
                {{"mediaType":"m","digest":"{digest}","size":1,"platform":{{"os":"unknown","architecture":"unknown"}},
                  "annotations":{{"vnd.docker.reference.type":"attestation-manifest"}}}}]}}"#
        )
        .into_bytes();
        let entry = Entry {
            media_type: "application/vnd.oci.image.index.v1+json".into(),
            digest: Some(digest),
            ..Entry::default()
        };
        let reference = Reference::parse("localhost:5000/a:1").unwrap();
        let text = table(&Remote { reference, bytes, entry }).unwrap();
        let expected = format!(
            "Name:      localhost:5000/a:1\n\
             MediaType: application/vnd.oci.image.index.v1+json\n\
             Digest:    {digest}\n\
             {space:11}\n\
             Manifests: \n  \
               Name:        localhost:5000/a:1@{digest}\n  \
               MediaType:   m\n  \
               Platform:    linux/amd64\n\
             {space:15}\n  \
               Name:        localhost:5000/a:1@{digest}\n  \
               MediaType:   m\n  \
               Platform:    unknown/unknown\n  \
               Annotations: \n    \
                 vnd.docker.reference.type: attestation-manifest\n",
            space = ""
        );
        assert_eq!(text, expected);
    }
}
