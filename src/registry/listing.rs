//! What a registry has: tags, repositories, and what a search finds.

use serde::Deserialize;
use ureq::http::{Uri, header};

use super::access::{Credentials, Endpoint};
use super::auth::{basic, with_query};
use super::client::{Call, Client, pull_scope};
use super::error::{Error, clean};
use super::transport::{Request, join, parse, read_small, text};
use crate::oci::Reference;

/// The longest page, in bytes.
const PAGE_MAX: u64 = 16 << 20;
/// How many entries a page is asked for.
const PAGE: &str = "1000";
/// How many entries a list may have before it is no list but an attack.
const ENTRIES_MAX: usize = 1_000_000;

/// One repository that a search found.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Hit {
    /// Its name: `nginx`, `bitnami/nginx`.
    pub name: String,
    /// What it is.
    #[serde(default)]
    pub description: String,
    /// How many people like it.
    #[serde(default, rename = "star_count")]
    pub stars: u64,
    /// Whether Docker itself keeps it.
    #[serde(default, rename = "is_official")]
    pub official: bool,
}

#[derive(Deserialize)]
struct Hits {
    #[serde(default)]
    results: Vec<Hit>,
}

#[derive(Deserialize)]
struct Tags {
    #[serde(default)]
    tags: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Repositories {
    #[serde(default)]
    repositories: Option<Vec<String>>,
}

impl Client {
    /// Lists the tags of the repository of `reference`, in the registry's order.
    pub fn tags(&self, reference: &Reference) -> Result<Vec<String>, Error> {
        let endpoint = self.access().itself(reference.domain());
        let path = with_query(&format!("{}/tags/list", reference.path()), &[("n", PAGE)]);
        self.pages(&endpoint, &pull_scope(reference), path, |bytes| {
            serde_json::from_slice(bytes).map(|page: Tags| page.tags.unwrap_or_default())
        })
    }

    /// Searches for `term` by the API that Docker Hub has for it. A registry without that API has the names of its
    /// repositories searched. At most `limit` are found.
    pub fn search(&self, domain: &str, term: &str, limit: usize) -> Result<Vec<Hit>, Error> {
        let host = if domain == "docker.io" { "index.docker.io" } else { domain };
        let endpoint = self.access().endpoint(host, domain);
        match self.search_index(&endpoint, term, limit) {
            Err(Error::NotFound(_)) if domain != "docker.io" => self.search_names(&endpoint, term, limit),
            other => other,
        }
    }

    fn search_index(&self, endpoint: &Endpoint, term: &str, limit: usize) -> Result<Vec<Hit>, Error> {
        let access = self.access();
        let count = limit.to_string();
        let path = with_query("/v1/search", &[("q", term), ("n", &count)]);
        let authorization = match access.credentials.get(&endpoint.account) {
            Some(Credentials::Password { username, password }) => Some(basic(username, password)),
            _ => None,
        };
        access.patience.run(|| {
            let reply = self.in_a_scheme(endpoint, |scheme| {
                let url = format!("{}://{}{path}", scheme.name(), endpoint.host);
                // Plain http would show the password to everyone on the way.
                let authorization = authorization.clone().filter(|_| scheme.name() == "https");
                self.transport()
                    .send(access, &Request { authorization, ..Request::get(&url, "application/json") })
            })?;
            if !reply.response.status().is_success() {
                return Err(reply.into_error());
            }
            let url = reply.url.to_string();
            let bytes =
                read_small(reply.response, PAGE_MAX, "the answer", "Get", &url, &access.patience.stall)?;
            let hits: Hits = serde_json::from_slice(&bytes).map_err(|error| {
                Error::Protocol(format!("parse the answer of {}: {error}", endpoint.host))
            })?;
            let mut hits = hits.results;
            hits.truncate(limit);
            for hit in &mut hits {
                hit.name = clean(&hit.name);
                hit.description = clean(&hit.description);
            }
            Ok(hits)
        })
    }

    fn search_names(&self, endpoint: &Endpoint, term: &str, limit: usize) -> Result<Vec<Hit>, Error> {
        let path = with_query("_catalog", &[("n", PAGE)]);
        let names = self.pages(endpoint, "registry:catalog:*", path, |bytes| {
            serde_json::from_slice(bytes).map(|page: Repositories| page.repositories.unwrap_or_default())
        })?;
        let found = names.into_iter().filter(|name| name.contains(term)).take(limit);
        Ok(found
            .map(|name| Hit { name: clean(&name), description: String::new(), stars: 0, official: false })
            .collect())
    }

    /// Reads a list page by page (RFC 8288 `Link`, distribution-spec "Listing Tags").
    fn pages(
        &self,
        endpoint: &Endpoint,
        scope: &str,
        first: String,
        read: impl Fn(&[u8]) -> serde_json::Result<Vec<String>>,
    ) -> Result<Vec<String>, Error> {
        let patience = &self.access().patience;
        let mut all = Vec::new();
        let mut path = Some(first);
        while let Some(this) = path.take() {
            let (page, next) = patience.run(|| {
                let reply = self.call_at(endpoint, &Call::get(scope, &this, "application/json"))?;
                let next = text(reply.response.headers(), &header::LINK).and_then(next_of);
                let next = next.map(|link| below(&reply.url, link, &endpoint.host)).transpose()?;
                let url = reply.url.to_string();
                let bytes = read_small(reply.response, PAGE_MAX, "the list", "Get", &url, &patience.stall)?;
                let page = read(&bytes).map_err(|error| {
                    Error::Protocol(format!("parse the list of {}: {error}", endpoint.host))
                })?;
                Ok((page, next))
            })?;
            // A page that brings nothing would lead on for ever.
            if !page.is_empty() && next.as_ref() != Some(&this) {
                path = next;
            }
            all.extend(page);
            if all.len() > ENTRIES_MAX {
                return Err(Error::Protocol(format!("the list of {} does not end", endpoint.host)));
            }
        }
        Ok(all)
    }
}

/// Returns the target of `<…>; rel="next"`.
fn next_of(link: &str) -> Option<&str> {
    let (target, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
    let next = parameters.split([';', ',']).any(|parameter| {
        let parameter = parameter.trim().to_ascii_lowercase();
        matches!(parameter.as_str(), "rel=\"next\"" | "rel=next")
    });
    next.then_some(target)
}

/// Returns a link as a path of the host it came from: a list goes on where it began.
fn below(base: &Uri, link: &str, host: &str) -> Result<String, Error> {
    let url = parse(&join(base, link), host)?;
    Ok(url.path_and_query().map_or("/", |path| path.as_str()).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_links() {
        assert_eq!(
            next_of(r#"</v2/a/tags/list?last=x&n=2>; rel="next""#),
            Some("/v2/a/tags/list?last=x&n=2")
        );
        assert_eq!(next_of("<x>;rel=next"), Some("x"));
        assert_eq!(next_of(r#"<x>; rel="prev""#), None);
        assert_eq!(next_of("x"), None);
        let base: Uri = "http://h:5000/v2/a/tags/list?n=2".parse().unwrap();
        assert_eq!(below(&base, "http://evil.example/x?y", "h").unwrap(), "/x?y");
        assert_eq!(below(&base, "/v2/a/tags/list?last=x", "h").unwrap(), "/v2/a/tags/list?last=x");
    }
}
