//! `search`

use anyhow::{Result, anyhow, bail};
use clap::{Args, FromArgMatches};
use serde_json::Map;

use super::access::client;
use super::filter::{Filters, parse_filter};
use super::format::table::ellipsis;
use super::format::{List, Row};
use super::grammar::{Arity, Rules};
use super::report::response;
use super::session::Session;
use super::tree::Spec;
use crate::image::is_hub;
use crate::registry::Hit;

/// `search`
pub(super) const SPEC: Spec = Spec {
    paths: &["search"],
    about: "Search Docker Hub for images",
    usage: "[OPTIONS] TERM",
    rules: Rules { arity: Arity::Exactly(1), interspersed: true, absent: &[] },
    define: SearchArgs::augment_args,
    run: |matches, session| run(&SearchArgs::from_arg_matches(matches)?, session),
};

const LIST: List = List {
    heads: &[
        ("Name", "NAME"),
        ("Description", "DESCRIPTION"),
        ("StarCount", "STARS"),
        ("IsOfficial", "OFFICIAL"),
        ("IsAutomated", "AUTOMATED"),
    ],
    type_name: "*search.searchContext",
    raw: None,
};
const TABLE: &str = "table {{.Name}}\t{{.Description}}\t{{.StarCount}}\t{{.IsOfficial}}";
/// The width of a description that is cut short.
const DESCRIPTION: usize = 45;

#[derive(Debug, Args)]
struct SearchArgs {
    /// Filter output by is-official=BOOL or stars=NUMBER
    #[arg(long, short, value_name = "filter", value_parser = parse_filter)]
    filter: Vec<(String, String)>,
    /// Format output by a template, or as table or json
    #[arg(long, value_name = "string")]
    format: Option<String>,
    /// Max number of search results, up to 100
    #[arg(long, value_name = "int", default_value_t = 0, hide_default_value = true)]
    limit: i64,
    /// Do not cut descriptions short
    #[arg(long)]
    no_trunc: bool,
    /// What to look for, after a registry other than Docker Hub and a slash
    #[arg(value_name = "TERM")]
    term: String,
}

/// What is shown of what is found.
#[derive(Debug, Default)]
struct Wanted {
    official: Option<bool>,
    automated: Option<bool>,
    stars: u64,
}

fn run(args: &SearchArgs, session: &Session) -> Result<u8> {
    let wanted = Wanted::read(&args.filter)?;
    let limit = match args.limit {
        0 => 25,
        1..=100 => usize::try_from(args.limit).unwrap_or(100),
        other => return Err(response(anyhow!("limit {other} is outside the range of [1, 100]"))),
    };
    let (domain, term) = split(&args.term)?;
    let client = client(session, domain)?;
    let mut hits =
        client.search(domain, term, limit).map_err(|error| response(anyhow!(error.to_string())))?;
    hits.retain(|hit| wanted.fits(hit));
    hits.sort_by_key(|hit| std::cmp::Reverse(hit.stars));
    let format = match args.format.as_deref() {
        None | Some("" | "table") => TABLE,
        Some(format) => format,
    };
    let rows: Vec<Row> = hits.iter().map(|hit| row(hit, args.no_trunc, format == "json")).collect();
    Session::print(&LIST.render(format, &rows)?)?;
    Ok(0)
}

/// Splits a registry off what is looked for.
fn split(term: &str) -> Result<(&str, &str)> {
    if term.contains("://") {
        bail!("invalid repository name: repository name ({term}) should not have a scheme");
    }
    let (domain, term) = match term.split_once('/') {
        Some((host, term)) if host.contains(['.', ':']) || host == "localhost" => (host, term),
        _ => ("docker.io", term),
    };
    if domain == "docker.io" || is_hub(domain) {
        return Ok(("docker.io", term.strip_prefix("library/").unwrap_or(term)));
    }
    Ok((domain, term))
}

impl Wanted {
    fn read(given: &[(String, String)]) -> Result<Self> {
        let filters = Filters::new(given, &["is-automated", "is-official", "stars"])?;
        let truth = |key: &str| match filters.values(key) {
            [] => Ok(None),
            values => match values[values.len() - 1].as_str() {
                "1" | "t" | "true" | "True" | "TRUE" => Ok(Some(true)),
                "0" | "f" | "false" | "False" | "FALSE" => Ok(Some(false)),
                _ => Err(Filters::invalid(key, &format!("[{}]", values.join(" ")))),
            },
        };
        let mut wanted =
            Self { official: truth("is-official")?, automated: truth("is-automated")?, stars: 0 };
        for value in filters.values("stars") {
            let stars = value.parse().map_err(|_| Filters::invalid("stars", value))?;
            wanted.stars = wanted.stars.max(stars);
        }
        Ok(wanted)
    }

    /// Automated builds are no more: nothing is one.
    fn fits(&self, hit: &Hit) -> bool {
        self.official.is_none_or(|official| hit.official == official)
            && self.automated != Some(true)
            && hit.stars >= self.stars
    }
}

fn row(hit: &Hit, whole: bool, json: bool) -> Row {
    let description = if whole { hit.description.clone() } else { ellipsis(&hit.description, DESCRIPTION) };
    let truth = |value: bool| match (json, value) {
        (true, value) => value.to_string(),
        (false, true) => "[OK]".to_owned(),
        (false, false) => String::new(),
    };
    let fields = [
        ("Name", hit.name.clone()),
        ("Description", description),
        ("StarCount", hit.stars.to_string()),
        ("IsOfficial", truth(hit.official)),
        ("IsAutomated", truth(false)),
    ];
    let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
    Row { fields, labels: Map::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_registry_in_the_term() {
        assert_eq!(split("nginx").unwrap(), ("docker.io", "nginx"));
        assert_eq!(split("library/nginx").unwrap(), ("docker.io", "nginx"));
        assert_eq!(split("docker.io/library/nginx").unwrap(), ("docker.io", "nginx"));
        assert_eq!(split("bitnami/nginx").unwrap(), ("docker.io", "bitnami/nginx"));
        assert_eq!(split("localhost:5000/a/b").unwrap(), ("localhost:5000", "a/b"));
        assert!(split("https://x/y").is_err());
    }

    #[test]
    fn filters() {
        let hit = |official, stars| Hit { name: "x".into(), description: String::new(), stars, official };
        let read = |texts: &[&str]| {
            let given: Vec<_> = texts.iter().map(|text| parse_filter(text).unwrap()).collect();
            Wanted::read(&given)
        };
        let wanted = read(&["is-official=true", "stars=3", "stars=5"]).unwrap();
        assert!(wanted.fits(&hit(true, 5)) && !wanted.fits(&hit(true, 4)) && !wanted.fits(&hit(false, 9)));
        assert!(!read(&["is-automated=true"]).unwrap().fits(&hit(true, 5)));
        assert!(read(&["is-automated=false"]).unwrap().fits(&hit(true, 5)));
        let error = read(&["stars=many"]).unwrap_err().to_string();
        assert_eq!(error, "Error response from daemon: invalid filter 'stars=many'");
        assert!(read(&["colour=red"]).is_err() && read(&["is-official=maybe"]).is_err());
    }
}
