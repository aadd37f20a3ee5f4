//! Proving who we are, for `login`.

use ureq::http::header;

use super::auth::{self, Challenge};
use super::client::Client;
use super::error::Error;
use super::transport::{Request, drain, shown};

impl Client {
    /// Proves the credentials that `access` has for the registry of `domain` (`docker.io`). Returns the identity
    /// token that its token service gives to be kept instead of a password, if it gives one.
    pub fn log_in(&self, domain: &str) -> Result<Option<String>, Error> {
        let access = self.access();
        let endpoint = access.itself(domain);
        access.patience.run(|| {
            let ask = |authorization: Option<String>| {
                self.in_a_scheme(&endpoint, |scheme| {
                    let url = format!("{}://{}/v2/", scheme.name(), endpoint.host);
                    let authorization = authorization.clone();
                    self.transport().send(access, &Request { authorization, ..Request::get(&url, "*/*") })
                })
            };
            let reply = ask(None)?;
            if reply.response.status().is_success() {
                drain(reply.response);
                return Ok(None);
            }
            if reply.response.status().as_u16() != 401
                || !reply.response.headers().contains_key(header::WWW_AUTHENTICATE)
            {
                return Err(reply.into_error());
            }
            let challenges = auth::challenges(reply.response.headers());
            drain(reply.response);
            let (authorization, refresh) = auth::log_in(self.transport(), access, &endpoint, &challenges)?;
            let reply = ask(Some(authorization))?;
            if reply.response.status().is_success() {
                drain(reply.response);
                return Ok(refresh);
            }
            if reply.response.status().as_u16() == 401 {
                let challenges = auth::challenges(reply.response.headers());
                let url = shown(&reply.url);
                return Err(match auth::refusal(&challenges, &drain(reply.response)) {
                    // A password that the registry itself has looked at: Docker tells only that it did.
                    Error::Unauthorized(_) if !challenges.iter().any(Challenge::wants_token) => {
                        Error::LoginFailed(url)
                    }
                    error => error,
                });
            }
            Err(reply.into_error())
        })
    }
}
