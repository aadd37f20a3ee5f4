//! A file from anywhere, by its address.

use std::io::Read;

use ureq::http::header;

use super::client::Client;
use super::error::Error;
use super::transport::Request;

/// A file that is being fetched.
pub struct Download {
    /// Its bytes.
    pub body: Box<dyn Read + Send>,
    /// What the server knows this version by.
    pub etag: Option<String>,
    /// When it was changed, as HTTP writes it.
    pub modified: Option<String>,
}

impl std::fmt::Debug for Download {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Download")
            .field("etag", &self.etag)
            .field("modified", &self.modified)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// Opens what lies at an `http` or `https` address, through the proxies and redirects that registries
    /// are reached by too. No credentials are sent.
    pub fn download(&self, url: &str) -> Result<Box<dyn Read + Send>, Error> {
        let reply = self.access().patience.run(|| {
            let reply = self.transport().send(self.access(), &Request::get(url, "*/*"))?;
            if reply.response.status().is_success() { Ok(reply) } else { Err(reply.into_error()) }
        })?;
        Ok(Box::new(reply.response.into_body().into_reader()))
    }

    /// Opens what lies there, unless it is still the version that `etag` is of.
    pub fn download_newer(&self, url: &str, etag: Option<&str>) -> Result<Option<Download>, Error> {
        let headers: Vec<_> = etag.map(|etag| (header::IF_NONE_MATCH, etag.to_owned())).into_iter().collect();
        let reply = self.access().patience.run(|| {
            let request = Request { headers: &headers, ..Request::get(url, "*/*") };
            let reply = self.transport().send(self.access(), &request)?;
            let status = reply.response.status();
            if status.is_success() || status == ureq::http::StatusCode::NOT_MODIFIED {
                Ok(reply)
            } else {
                Err(reply.into_error())
            }
        })?;
        if reply.response.status() == ureq::http::StatusCode::NOT_MODIFIED {
            return Ok(None);
        }
        let text = |name: header::HeaderName| {
            reply.response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
        };
        Ok(Some(Download {
            etag: text(header::ETAG),
            modified: text(header::LAST_MODIFIED),
            body: Box::new(reply.response.into_body().into_reader()),
        }))
    }
}
