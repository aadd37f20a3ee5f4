//! Debian's `docker-registry` on loopback, and uploads to it.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::image::{Blob, Blobs, Image};
use super::wait_until;

/// A registry of one test's own.
#[derive(Debug)]
pub(crate) struct Distribution {
    child: Child,
    address: String,
    _dir: tempfile::TempDir,
}

impl Distribution {
    /// Starts one and waits until it answers.
    pub(crate) fn start() -> Self {
        Self::configured(tempfile::tempdir().unwrap(), "", "")
    }

    /// Starts one that this user alone may use.
    pub(crate) fn with_account(username: &str, password: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let made = Command::new("htpasswd").args(["-Bbn", username, password]).output().unwrap();
        assert!(made.status.success(), "{made:?}");
        let path = dir.path().join("htpasswd");
        std::fs::write(&path, made.stdout).unwrap();
        let auth = format!("auth: {{ htpasswd: {{ realm: test, path: {} }} }}\n", path.display());
        Self::configured(dir, "", &auth)
    }

    /// Starts one that speaks TLS with a certificate of `authority`, and wants one of the client if `of_client`.
    pub(crate) fn over_tls(authority: &Authority, of_client: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (certificate, key) = authority.issue(dir.path(), "registry");
        let clients = if of_client {
            format!(", clientcas: [ {} ]", authority.certificate().display())
        } else {
            String::new()
        };
        let tls =
            format!(", tls: {{ certificate: {}, key: {}{clients} }}", certificate.display(), key.display());
        Self::configured(dir, &tls, "")
    }

    /// Starts one that speaks TLS with a certificate that it has signed itself, which names `subject`. Returns the
    /// certificate's path, too.
    pub(crate) fn self_signed(subject: &str) -> (Self, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        openssl(
            dir.path(),
            &format!(
                "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=registry \
                 -addext subjectAltName=IP:{subject} -keyout own.key -out own.crt"
            ),
        );
        let certificate = dir.path().join("own.crt");
        let tls = format!(
            ", tls: {{ certificate: {}, key: {} }}",
            certificate.display(),
            dir.path().join("own.key").display()
        );
        (Self::configured(dir, &tls, ""), certificate)
    }

    fn configured(dir: tempfile::TempDir, tls: &str, more: &str) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("127.0.0.1:{port}");
        let config = dir.path().join("config.yml");
        let text = format!(
            "version: 0.1\n\
             log: {{ level: error, accesslog: {{ disabled: true }} }}\n\
             storage: {{ filesystem: {{ rootdirectory: {}/data }} }}\n\
             http: {{ addr: '{address}'{tls} }}\n\
             {more}",
            dir.path().display()
        );
        std::fs::write(&config, text).unwrap();
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        wait_until("docker-registry answers", || TcpStream::connect(&address).is_ok());
        Self { child, address, _dir: dir }
    }

    /// Returns host and port.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Uploads an image and returns its full reference and its manifest's digest.
    pub(crate) fn push(&self, name: &str, tag: &str, image: &Image) -> (String, String) {
        let blobs = image.blobs();
        self.upload(name, &blobs);
        self.put_manifest(name, tag, &blobs.manifest);
        (format!("{}/{name}:{tag}", self.address), blobs.manifest.digest)
    }

    /// Uploads everything of an image but its manifest.
    pub(crate) fn upload(&self, name: &str, blobs: &Blobs) {
        for blob in blobs.layers.iter().chain([&blobs.config]) {
            self.put_blob(name, blob);
        }
    }

    /// Uploads a manifest or an index.
    pub(crate) fn put_manifest(&self, name: &str, tag: &str, manifest: &Blob) {
        let url = format!("http://{}/v2/{name}/manifests/{tag}", self.address);
        ureq::put(url).header("content-type", &manifest.media_type).send(&manifest.bytes[..]).unwrap();
    }

    fn put_blob(&self, name: &str, blob: &Blob) {
        let begun =
            ureq::post(format!("http://{}/v2/{name}/blobs/uploads/", self.address)).send_empty().unwrap();
        let place = begun.headers()["location"].to_str().unwrap();
        let place =
            if place.starts_with('/') { format!("http://{}{place}", self.address) } else { place.to_owned() };
        let joint = if place.contains('?') { '&' } else { '?' };
        ureq::put(format!("{place}{joint}digest={}", blob.digest))
            .header("content-type", "application/octet-stream")
            .send(&blob.bytes[..])
            .unwrap();
    }
}

/// An authority that signs certificates for 127.0.0.1, made by `openssl`.
#[derive(Debug)]
pub(crate) struct Authority {
    dir: tempfile::TempDir,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        openssl(
            dir.path(),
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=authority \
             -keyout ca.key -out ca.crt",
        );
        Self { dir }
    }

    /// Returns the path of its own certificate.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.dir.path().join("ca.crt")
    }

    /// Makes a certificate and its key in a directory, and returns their paths.
    pub(crate) fn issue(&self, dir: &Path, name: &str) -> (PathBuf, PathBuf) {
        let ca = self.dir.path().display();
        std::fs::write(dir.join("extensions"), "subjectAltName=IP:127.0.0.1\n").unwrap();
        openssl(
            dir,
            &format!(
                "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN={name} -keyout {name}.key \
                 -out {name}.csr"
            ),
        );
        openssl(
            dir,
            &format!(
                "x509 -req -in {name}.csr -CA {ca}/ca.crt -CAkey {ca}/ca.key -CAcreateserial -days 2 \
                 -extfile extensions -out {name}.cert"
            ),
        );
        (dir.join(format!("{name}.cert")), dir.join(format!("{name}.key")))
    }
}

fn openssl(dir: &Path, words: &str) {
    let outcome = Command::new("openssl").args(words.split_whitespace()).current_dir(dir).output().unwrap();
    assert!(outcome.status.success(), "openssl {words}: {}", String::from_utf8_lossy(&outcome.stderr));
}

impl Drop for Distribution {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
