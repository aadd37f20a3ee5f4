//! Debian's `docker-registry` on loopback, and uploads to it.

use std::net::{TcpListener, TcpStream};
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
        let dir = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("127.0.0.1:{port}");
        let config = dir.path().join("config.yml");
        let text = format!(
            "version: 0.1\n\
             log: {{ level: error, accesslog: {{ disabled: true }} }}\n\
             storage: {{ filesystem: {{ rootdirectory: {}/data }} }}\n\
             http: {{ addr: '{address}' }}\n",
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

impl Drop for Distribution {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
