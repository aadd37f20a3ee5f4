//! A file from anywhere, by its address.

use std::io::Read;

use super::client::Client;
use super::error::Error;
use super::transport::Request;

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
}
