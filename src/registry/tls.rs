//! TLS to registries, and whose certificates are believed.
//!
//! As with Docker, a certificate is believed that an authority has signed, one of the machine's or of the host's
//! `certs.d`, and also one that stands among those authorities itself: a registry's self-signed certificate,
//! given as its own `ca.crt`. The library refuses those as a rule (an authority is not a server), so they are
//! looked at here: the very bytes, the name, and the time.

use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme,
    StreamOwned,
};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, Transport, TransportAdapter,
};

use super::access::ClientPair;
use super::error::Error;
use super::validity;

/// Whose certificates are believed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Belief<'a> {
    /// Everybody's.
    Anybody,
    /// Those of the machine's authorities, and of these, which are in PEM.
    Authorities(&'a [Vec<u8>]),
}

/// Wraps connections for `https` in TLS.
#[derive(Debug)]
pub(super) struct Wrap(Arc<ClientConfig>);

impl Wrap {
    /// Reads the certificates. `client` is what is shown of ourselves.
    pub(super) fn new(belief: Belief<'_>, client: Option<&ClientPair>) -> Result<Self, Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier: Arc<dyn ServerCertVerifier> = match belief {
            Belief::Anybody => Arc::new(Anybody(Arc::clone(&provider))),
            Belief::Authorities(more) => Arc::new(Authorities::read(more, &provider)?),
        };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::Protocol(format!("tls: {error}")))?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let config = match client {
            None => builder.with_no_client_auth(),
            Some(pair) => {
                let key = PrivateKeyDer::from_pem_slice(&pair.key)
                    .map_err(|error| Error::Protocol(format!("read a key of certs.d: {error}")))?;
                builder
                    .with_client_auth_cert(certificates(&pair.certificate)?, key)
                    .map_err(|error| Error::Protocol(format!("use a key of certs.d: {error}")))?
            }
        };
        Ok(Self(Arc::new(config)))
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| Error::Protocol(format!("read a certificate of certs.d: {error}")))
}

impl<In: Transport> Connector<In> for Wrap {
    type Out = Either<In, Wrapped>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, ureq::Error> {
        let Some(transport) = chained else { return Ok(None) };
        if !details.needs_tls() || transport.is_tls() {
            return Ok(Some(Either::A(transport)));
        }
        let host = details.uri.host().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.to_owned())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let mut connection = ClientConnection::new(Arc::clone(&self.0), name).map_err(io::Error::other)?;
        let mut socket = TransportAdapter::new(transport.boxed(), details.current_time.clone());
        socket.set_timeout(details.timeout);
        connection.complete_io(&mut socket)?;
        let buffers =
            LazyBuffers::new(details.config.input_buffer_size(), details.config.output_buffer_size());
        let stream = StreamOwned { conn: connection, sock: socket };
        Ok(Some(Either::B(Wrapped { buffers, stream })))
    }
}

/// A connection in TLS.
pub(super) struct Wrapped {
    buffers: LazyBuffers,
    stream: StreamOwned<ClientConnection, TransportAdapter>,
}

impl fmt::Debug for Wrapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wrapped")
    }
}

impl Transport for Wrapped {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        self.stream.sock.set_timeout(timeout);
        self.stream.write_all(&self.buffers.output()[..amount])?;
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.stream.sock.set_timeout(timeout);
        let amount = self.stream.read(self.buffers.input_append_buf())?;
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        self.stream.sock.get_mut().is_open()
    }

    fn is_tls(&self) -> bool {
        true
    }
}

/// Believes what an authority has signed, and the authorities themselves.
#[derive(Debug)]
struct Authorities {
    signed: Arc<WebPkiServerVerifier>,
    themselves: Vec<CertificateDer<'static>>,
}

impl Authorities {
    /// Takes the machine's own root certificates, or Mozilla's where it has none, and `more`, which are in PEM.
    fn read(more: &[Vec<u8>], provider: &Arc<CryptoProvider>) -> Result<Self, Error> {
        let mut themselves = rustls_native_certs::load_native_certs().certs;
        for pem in more {
            themselves.extend(certificates(pem)?);
        }
        let mut roots = RootCertStore::empty();
        if themselves.is_empty() {
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        roots.add_parsable_certificates(themselves.iter().cloned());
        let signed = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
            .build()
            .map_err(|error| Error::Protocol(format!("read the certificates of authorities: {error}")))?;
        Ok(Self { signed, themselves })
    }
}

impl ServerCertVerifier for Authorities {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let signed =
            self.signed.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        if signed.is_ok() || !self.themselves.iter().any(|known| known == end_entity) {
            return signed;
        }
        verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
        match validity::of(end_entity) {
            Some(validity) if validity.contains(&now.as_secs().cast_signed()) => {
                Ok(ServerCertVerified::assertion())
            }
            Some(_) => Err(CertificateError::Expired.into()),
            None => Err(CertificateError::BadEncoding.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.signed.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.signed.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.signed.supported_verify_schemes()
    }
}

/// Believes everybody (`--tls-verify=false`, insecure registries).
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Signed by itself, for registry.example and 127.0.0.1, valid for ten days from [`START`] on.
    const OWN: &str = "\
-----BEGIN CERTIFICATE-----\n\
MIIBnzCCAUSgAwIBAgIUCGe1sIrZC0B1JqCdRMYs9NRXXXQwCgYIKoZIzj0EAwIw\n\
EzERMA8GA1UEAwwIcmVnaXN0cnkwHhcNMjYxMTIxMTUxMDQ0WhcNMjYxMjAxMTUx\n\
MDQ0WjATMREwDwYDVQQDDAhyZWdpc3RyeTBZMBMGByqGSM49AgEGCCqGSM49AwEH\n\
A0IABGwH//wr7naxPfXrps9v7gctEtcT1S3DSmx9N0WtoEjbbGEV3tP/mrZOaMjD\n\
GZsHiOHlpsOclvcl8VZBzknlI9GjdjB0MB0GA1UdDgQWBBSeU/GKuIXOx/OQHUQG\n\
MvlaQIrQQDAfBgNVHSMEGDAWgBSeU/GKuIXOx/OQHUQGMvlaQIrQQDAPBgNVHRMB\n\
Af8EBTADAQH/MCEGA1UdEQQaMBiCEHJlZ2lzdHJ5LmV4YW1wbGWHBH8AAAEwCgYI\n\
KoZIzj0EAwIDSQAwRgIhAOREimTquL22IUYz7vIWQPU2LGjlPt7eYCvHtuO/s7on\n\
AiEAqo5+yjtlyIZhMT+5t+/JIpx03Y+cGyNb7SiLlNAhe/A=\n\
-----END CERTIFICATE-----\n\
";
    const START: u64 = 1_795_273_844;
    const DAY: u64 = 86_400;

    #[test]
    fn an_authority_may_be_a_server_of_its_own_name_and_time() {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let own = certificates(OWN.as_bytes()).unwrap().remove(0);
        let check = |given: &[Vec<u8>], name: &'static str, at: u64| {
            let authorities = Authorities::read(given, &provider).unwrap();
            let now = UnixTime::since_unix_epoch(Duration::from_secs(at));
            let name = ServerName::try_from(name).unwrap();
            authorities.verify_server_cert(&own, &[], &name, &[], now).map(|_| ())
        };
        let given = [OWN.as_bytes().to_vec()];
        for name in ["registry.example", "127.0.0.1"] {
            assert_eq!(check(&given, name, START + DAY), Ok(()));
        }
        for at in [START - 1, START + 11 * DAY] {
            let error = check(&given, "registry.example", at).unwrap_err();
            assert_eq!(error, CertificateError::Expired.into());
        }
        assert!(check(&given, "other.example", START + DAY).is_err());
        assert!(check(&[], "registry.example", START + DAY).is_err());
    }
}
