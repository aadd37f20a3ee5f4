//! What a log says of every line beside its text: `--log-opt` `labels`, `env` and `tag`.

use std::collections::BTreeMap;

use anyhow::{Result, bail};

use crate::container::config::ContainerConfig;

/// Collects what is said of every line of a container that is called `name`.
pub(super) fn of(config: &ContainerConfig, name: &str) -> Result<BTreeMap<String, String>> {
    let asked = |option: &str| config.log_options.get(option).map(String::as_str).unwrap_or_default();
    let mut said = BTreeMap::new();
    for key in asked("labels").split(',') {
        if let Some(value) = config.labels.get(key) {
            said.insert(key.to_owned(), value.clone());
        }
    }
    let wanted: Vec<&str> = asked("env").split(',').collect();
    for (key, value) in config.process.env.iter().filter_map(|text| text.split_once('=')) {
        if wanted.contains(&key) {
            said.insert(key.to_owned(), value.to_owned());
        }
    }
    let tag = tag(config, name, asked("tag"))?;
    if !tag.is_empty() {
        said.insert("tag".to_owned(), tag);
    }
    Ok(said)
}

/// Fills in what a tag says in double braces.
pub(super) fn tag(config: &ContainerConfig, name: &str, template: &str) -> Result<String> {
    let mut out = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        out.push_str(before);
        let Some((word, tail)) = after.split_once("}}") else {
            bail!("template: log-tag:1: unclosed action");
        };
        let image = config.image.to_string();
        let short = image.rsplit(':').next().and_then(|hex| hex.get(..12)).unwrap_or_default();
        out.push_str(match word.trim() {
            ".ID" => config.id.get(..12).unwrap_or(&config.id),
            ".FullID" => &config.id,
            ".Name" => name,
            ".ImageID" => short,
            ".ImageFullID" => &image,
            ".ImageName" => &config.image_name,
            ".DaemonName" => "docker",
            other => bail!(
                "log opt tag: {{{{{other}}}}} is not known: there are .ID .FullID .Name .ImageID .ImageFullID \
                 .ImageName .DaemonName"
            ),
        });
        rest = tail;
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_is_asked_for() {
        let mut config = crate::container::spec::tests::config();
        config.labels.insert("tier".into(), "web".into());
        config.process.env = vec!["A=1".into(), "B=2=3".into()];
        assert!(of(&config, "n").unwrap().is_empty());
        for (option, value) in
            [("labels", "tier,none"), ("env", "B,C"), ("tag", "{{.ID}}/{{ .Name }}-{{.ImageName}}")]
        {
            config.log_options.insert(option.into(), value.into());
        }
        let tag = format!("{}/n-{}", &config.id[..12], config.image_name);
        let said: Vec<_> = of(&config, "n").unwrap().into_iter().collect();
        let wanted = [("B", "2=3"), ("tag", tag.as_str()), ("tier", "web")];
        assert_eq!(said, wanted.map(|(key, value)| (key.to_owned(), value.to_owned())));
        for bad in ["{{.Nope}}", "{{.ID"] {
            config.log_options.insert("tag".into(), bad.into());
            assert!(of(&config, "n").is_err(), "{bad}");
        }
    }
}
