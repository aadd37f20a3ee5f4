//! `events`: what has happened and what happens, from the journal of the store.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Result, anyhow};
use clap::{Args, FromArgMatches};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::filter::{Filters, parse_filter};
use super::format::moment;
use super::format::template::{Shapes, Template};
use super::grammar::{Arity, Rules};
use super::report::{coded, response};
use super::session::Session;
use super::tree::Spec;
use crate::oci::Reference;
use crate::store::{Event, Journal, Subject};

/// `events`
pub(super) const SPEC: Spec = Spec {
    paths: &["system events", "events"],
    about: "Get real time events from the server",
    usage: "[OPTIONS]",
    rules: Rules { arity: Arity::None, interspersed: true, absent: &[] },
    define: EventsArgs::augment_args,
    run: |matches, session| run(&EventsArgs::from_arg_matches(matches)?, session),
};

#[derive(Debug, Args)]
struct EventsArgs {
    /// Show only what fits (name=value)
    #[arg(long, short, value_name = "filter", value_parser = parse_filter)]
    filter: Vec<(String, String)>,
    /// Format of the output: json, or a Go template
    #[arg(long, value_name = "string")]
    format: Option<String>,
    /// Show also what has happened since a time (2013-01-02T13:23:37Z) or a duration (42m)
    #[arg(long, value_name = "string")]
    since: Option<String>,
    /// End at a time (2013-01-02T13:23:37Z) or a duration before now (42m)
    #[arg(long, value_name = "string")]
    until: Option<String>,
}

fn run(args: &EventsArgs, session: &Session) -> Result<u8> {
    let format = format(args.format.as_deref().unwrap_or_default())?;
    // As Docker's daemon, which looks at the filters that it knows.
    let known: Vec<&str> = args.filter.iter().map(|(key, _)| key.as_str()).collect();
    let filters = Filters::new(&args.filter, &known)?;
    stream(session, args.since.as_deref(), args.until.as_deref(), &|event| {
        if includes(&filters, event) { show(event, format.as_ref()).map(Some) } else { Ok(None) }
    })
}

/// Prints events as `show` has them, those of the past that are asked for and those to come.
pub(super) fn stream(
    session: &Session,
    since: Option<&str>,
    until: Option<&str>,
    show: &dyn Fn(&Event) -> Result<Option<String>>,
) -> Result<u8> {
    let now = Timestamp::now();
    let time = |text: Option<&str>| {
        text.filter(|text| !text.is_empty())
            .map(|text| moment::read(text, now).map_err(|why| anyhow!(why)))
            .transpose()
    };
    let (since, until) = (time(since)?, time(until)?);
    if let (Some(since), Some(until)) = (since, until)
        && until < since
    {
        let said = |time: Timestamp| format!("{}.{:09}", time.as_second(), time.subsec_nanosecond());
        return Err(response(anyhow!(
            "`since` time ({}) cannot be after `until` time ({})",
            said(since),
            said(until)
        )));
    }
    let with_past = since.is_some() || until.is_some();
    let mut journal = Journal::open(session.store()?, with_past).map_err(response)?;
    let within = |event: &Event| {
        let at = i128::from(event.time_nano);
        since.is_none_or(|since| at >= since.as_nanosecond())
            && until.is_none_or(|until| at <= until.as_nanosecond())
    };
    loop {
        // Read after the clock: what has happened by then is written.
        let now = Timestamp::now();
        let mut out = String::new();
        for event in journal.read().map_err(response)?.iter().filter(|event| within(event)) {
            out.push_str(&show(event)?.unwrap_or_default());
        }
        if !out.is_empty() {
            Session::print(&out)?;
        }
        let patience = match until {
            Some(until) if until <= now => return Ok(0),
            Some(until) => Some(Duration::try_from(until.duration_since(now)).unwrap_or_default()),
            None => None,
        };
        journal.wait(patience).map_err(response)?;
    }
}

/// A format that has been parsed.
struct Format {
    template: Template,
    /// Whether an event is shown as JSON, and what it lacks is left out.
    is_json: bool,
}

/// Parses the format, and tries it on an event without content, as Docker does.
fn format(format: &str) -> Result<Option<Format>> {
    if format.is_empty() {
        return Ok(None);
    }
    let text = if format == "json" { "{{json .}}" } else { format };
    let bad = |error: String| coded(64, format!("Error parsing format: {error}"));
    let template = Template::parse(text).map_err(|error| bad(error.to_string()))?;
    let nothing = json!({
        "status": "", "id": "", "from": "", "Type": "", "Action": "",
        "Actor": { "ID": "", "Attributes": {} }, "scope": "", "time": 0, "timeNano": 0,
    });
    template.render_go_names(&nothing, &SHAPES).map_err(|error| bad(error.to_string()))?;
    Ok(Some(Format { template, is_json: text.contains("json") }))
}

const SHAPES: Shapes =
    Shapes { maps: &["Attributes"], lists: &[], free: &[], type_name: Some("*events.Message") };

/// Writes one event: in Docker's words, or by a template.
fn show(event: &Event, format: Option<&Format>) -> Result<String> {
    if let Some(Format { template, is_json }) = format {
        let line = template.render_go_names(&document(event, *is_json), &SHAPES);
        return Ok(format!("{}\n", line.map_err(super::format::parsing_error)?));
    }
    let time = Timestamp::from_nanosecond(event.time_nano.into()).unwrap_or_default();
    let mut line = moment::rfc3339_nanoseconds(time);
    let _ = write!(line, " {} {} {}", event.subject.word(), event.action, event.actor.id);
    if !event.actor.attributes.is_empty() {
        let words: Vec<String> =
            event.actor.attributes.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let _ = write!(line, " ({})", words.join(", "));
    }
    line.push('\n');
    Ok(line)
}

/// Returns an event with Docker's keys, and with those that its older versions had for containers and images.
fn document(event: &Event, is_json: bool) -> Value {
    let mut document = Map::new();
    let had = matches!(event.subject, Subject::Container | Subject::Image);
    let image = event.actor.attributes.get("image").filter(|_| had);
    for (key, value) in
        [("status", had.then_some(&event.action)), ("id", had.then_some(&event.actor.id)), ("from", image)]
    {
        // A field of Go's structures is there even when it is empty; JSON leaves it out.
        if value.is_some() || !is_json {
            document.insert(key.to_owned(), value.cloned().unwrap_or_default().into());
        }
    }
    if let Ok(Value::Object(event)) = serde_json::to_value(event) {
        document.extend(event);
    }
    document.into()
}

/// Tells whether the filters let an event through, by the rules of Docker's daemon.
fn includes(filters: &Filters, event: &Event) -> bool {
    const KINDS: [&str; 9] =
        ["daemon", "container", "plugin", "volume", "network", "service", "node", "secret", "config"];
    let attribute = |key: &str| event.actor.attributes.get(key).map(String::as_str);
    let (id, name) = (event.actor.id.as_str(), attribute("name").unwrap_or_default());
    let fuzzy = ["health_status", "exec_create", "exec_start"];
    let fuzzy = filters.values("event").iter().any(|value| fuzzy.contains(&value.as_str()));
    filters.any("event", |action| action == event.action || fuzzy && event.action.starts_with(action))
        && filters.any("type", |kind| kind == event.subject.word())
        && filters.any("scope", |scope| scope == event.scope)
        && KINDS
            .iter()
            .all(|kind| filters.any(kind, |wanted| id.starts_with(wanted) || name.starts_with(wanted)))
        && filters.any("image", |wanted| {
            let image = if event.subject == Subject::Image { name } else { attribute("image").unwrap_or("") };
            let bare = |text: &str| Reference::parse(text).map(|it| it.familiar_name().to_owned());
            [id, image].contains(&wanted)
                || [id, image].iter().any(|text| bare(text).as_deref() == Ok(wanted))
        })
        && filters.labels(attribute)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(subject: &str, action: &str, id: &str, attributes: &Value) -> Event {
        let text = json!({
            "Type": subject, "Action": action, "Actor": { "ID": id, "Attributes": attributes },
            "scope": "local", "time": 1, "timeNano": 1_000_000_002_i64,
        });
        serde_json::from_value(text).unwrap()
    }

    #[test]
    fn filters_as_dockers_daemon() {
        let web = json!({ "name": "web", "image": "nginx:1", "tier": "front" });
        let start = event("container", "start", "abcdef", &web);
        let healthy = event("container", "health_status: healthy", "abcdef", &web);
        let pull = event("image", "pull", "nginx:1", &json!({ "name": "nginx" }));
        let fits = |text: &str, event: &Event| {
            let given: Vec<_> = text.split(' ').map(|word| parse_filter(word).unwrap()).collect();
            let known: Vec<&str> = given.iter().map(|(key, _)| key.as_str()).collect();
            includes(&Filters::new(&given, &known).unwrap(), event)
        };
        for text in [
            "container=web",
            "container=abc",
            "event=start event=stop",
            "image=nginx",
            "label=tier=front",
            "x=y",
        ] {
            assert!(fits(text, &start), "{text}");
        }
        for text in ["container=db", "event=star", "image=ngin", "label=tier=back", "type=image"] {
            assert!(!fits(text, &start), "{text}");
        }
        assert!(fits("event=health_status", &healthy) && !fits("event=health", &healthy));
        assert!(fits("image=nginx", &pull) && fits("type=image", &pull) && !fits("container=web", &pull));
    }

    #[test]
    fn writes_events_in_dockers_form() {
        let start = event("container", "start", "abc", &json!({ "name": "web", "image": "nginx" }));
        let line = show(&start, None).unwrap();
        assert!(line.ends_with(" container start abc (image=nginx, name=web)\n"), "{line}");
        let by = |text: &str| show(&start, format(text).unwrap().as_ref()).unwrap();
        assert_eq!(
            by("{{.Type}} {{.Action}} {{.Actor.ID}} {{.Actor.Attributes.name}} {{.Actor.Attributes.x}}"),
            "container start abc web <no value>\n"
        );
        assert_eq!(by("{{.Status}} {{.ID}} {{.From}} {{.TimeNano}}"), "start abc nginx 1000000002\n");
        let json: Value = serde_json::from_str(&by("json")).unwrap();
        assert_eq!(
            (&json["status"], &json["id"], &json["from"]),
            (&json!("start"), &json!("abc"), &json!("nginx"))
        );
        let error = format("{{.Nonsense}}").err().unwrap().to_string();
        assert!(error.starts_with("Error parsing format: template: :1:2: executing"), "{error}");
    }
}
