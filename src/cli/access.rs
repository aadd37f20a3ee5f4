//! How registries are reached: by the settings, Docker's logins, and the certificates that lie about.

use std::collections::BTreeMap;

use anyhow::Result;

use super::session::Session;
use crate::image::{self, Logins};
use crate::oci::Reference;
use crate::registry::{Access, Client, Credentials, Mirror, Proxies};

/// Says where logins are kept.
pub(super) fn logins(session: &Session) -> Result<Logins> {
    let settings = session.settings()?;
    Ok(Logins {
        docker: settings.docker_config.clone(),
        given: settings.docker_auth.clone(),
        named: settings.auth_file.clone(),
        podman: settings.podman_auth_files.clone(),
    })
}

/// Says how registries are reached by somebody with these credentials.
pub(super) fn access_with(session: &Session, credentials: BTreeMap<String, Credentials>) -> Result<Access> {
    let settings = session.settings()?;
    let mut access = Access {
        credentials,
        proxies: Proxies::read(|name| std::env::var(name).ok()),
        certificates: image::certificates(&settings.certificates)?,
        headers: session
            .docker_config()?
            .http_headers
            .into_iter()
            .filter(|(name, _)| name.to_ascii_lowercase().starts_with("x-meta-"))
            .collect(),
        ..Access::default()
    };
    for (domain, registry) in &settings.registries {
        if registry.insecure {
            access.insecure.push(domain.clone());
        }
        let mirrors: Vec<Mirror> =
            registry.mirrors.iter().map(|url| Mirror::parse(url)).collect::<Result<_, _>>()?;
        access.mirrors.insert(domain.clone(), mirrors);
    }
    Ok(access)
}

/// Says how the registry of `domain`, and its mirrors, are reached by the user who is logged in there; `path` is the
/// repository, where a login may be for one alone. May run a credential helper, so it is called before the process
/// enters a namespace or starts a thread.
fn access_to(session: &Session, domain: &str, path: Option<&str>) -> Result<Access> {
    let logins = logins(session)?;
    let mut credentials = BTreeMap::new();
    let mut look = |host: &str, path: Option<&str>| -> Result<()> {
        if let Some(login) = logins.find(host, path)? {
            credentials.insert(host.to_owned(), login.credentials);
        }
        Ok(())
    };
    look(domain, path)?;
    if let Some(registry) = session.settings()?.registries.get(domain) {
        for host in registry.mirrors.iter().filter_map(|url| url.split_once("://")) {
            look(host.1.trim_end_matches('/'), None)?;
        }
    }
    let access = access_with(session, credentials)?;
    session.debug(|| format!("reach {domain} with {access:?}"));
    Ok(access)
}

/// Says how the registry of a reference is reached, as [`client_of`] does.
pub(super) fn access(session: &Session, reference: &Reference) -> Result<Access> {
    access_to(session, reference.domain(), Some(reference.path()))
}

/// Connects to the registry of `domain` as the user who is logged in there.
pub(super) fn client(session: &Session, domain: &str) -> Result<Client> {
    access_to(session, domain, None).map(Client::new)
}

/// Connects to the registry of a reference as the user who is logged in there. May run a credential helper, so it is
/// called before the process enters a namespace or starts a thread.
pub(super) fn client_of(session: &Session, reference: &Reference) -> Result<Client> {
    access(session, reference).map(Client::new)
}
