//! Images that are pulled from a registry of our own and loaded from archives.

use std::fs;
use std::io::Write;
use std::sync::Mutex;
use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::oci::{Platform, Reference};
use crate::registry::fixture::{Fault, Registry, Times};
use crate::registry::{Access, Client, Patience};
use crate::store::tests::scratch;
use crate::store::{MapKey, sweep};

fn mapping() -> Mapping {
    Mapping { key: MapKey::of("test"), owners: Owners::Emulated }
}

fn client() -> Client {
    let patience = Patience { attempts: 2, pause: Duration::from_millis(1), ..Patience::default() };
    Client::new(Access { patience, ..Access::default() })
}

fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, data) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(data.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, *data).unwrap();
    }
    builder.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

/// An image in the making: archives with what is sent for them.
struct Made {
    config: Vec<u8>,
    manifest: Vec<u8>,
    blobs: Vec<Vec<u8>>,
}

fn make(layers: &[(Vec<u8>, Vec<u8>)], architecture: &str) -> Made {
    let diff_ids: Vec<_> = layers.iter().map(|(tar, _)| Digest::of(tar)).collect();
    let config = json!({"architecture": architecture, "os": "linux", "config": {"Cmd": ["x"]},
        "rootfs": {"type": "layers", "diff_ids": diff_ids}})
    .to_string()
    .into_bytes();
    let listed: Vec<_> = layers
        .iter()
        .map(|(_, blob)| {
            json!({"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": Digest::of(blob), "size": blob.len()})
        })
        .collect();
    let manifest = json!({"schemaVersion": 2, "mediaType": import::MANIFEST,
        "config": {"mediaType": import::CONFIG, "digest": Digest::of(&config), "size": config.len()}, "layers": listed});
    Made {
        config,
        manifest: manifest.to_string().into_bytes(),
        blobs: layers.iter().map(|(_, blob)| blob.clone()).collect(),
    }
}

/// Four layers, compressed in every way, one of them twice.
fn sample() -> Made {
    let one = archive(&[("etc/one", b"1"), ("shared", b"lower")]);
    let two = archive(&[("shared", b"upper"), (".wh.gone", b"")]);
    let big = archive(&[("big", &vec![7; 3 << 20])]);
    let layers = [
        (one.clone(), gzip(&one)),
        (two.clone(), two),
        (big.clone(), zstd::encode_all(&big[..], 1).unwrap()),
        (one.clone(), gzip(&one)),
    ];
    make(&layers, &Platform::host().architecture)
}

fn serve(registry: &Registry, repository: &str, tag: &str, made: &Made) -> String {
    for blob in &made.blobs {
        registry.blob(blob.clone());
    }
    registry.blob(made.config.clone());
    registry.manifest(repository, tag, import::MANIFEST, made.manifest.clone())
}

fn reference(registry: &Registry, rest: &str) -> Reference {
    Reference::parse(&format!("{}/{rest}", registry.host())).unwrap()
}

#[derive(Default)]
struct Heard(Mutex<Vec<String>>);

impl Progress for Heard {
    fn message(&self, text: &str) {
        self.0.lock().unwrap().push(text.to_owned());
    }
    fn layer(&self, id: &str, state: LayerProgress) {
        if !matches!(state, LayerProgress::Downloading(..) | LayerProgress::Extracting(..)) {
            self.0.lock().unwrap().push(format!("{id}: {state:?}"));
        }
    }
}

/// The regular files of the store that are content: none may be half there.
fn content(store: &Store) -> Vec<String> {
    let mut names: Vec<String> = ["blobs/sha256", "images", "staging"]
        .iter()
        .flat_map(|dir| fs::read_dir(store.root().join(dir)).unwrap())
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn pulls_once_and_is_then_up_to_date() {
    let (_dir, store) = scratch();
    let registry = Registry::start();
    let made = sample();
    let digest = serve(&registry, "team/web", "1", &made);
    let name = reference(&registry, "team/web:1");
    let heard = Heard::default();
    let pulled = pull(&store, &mapping(), &client(), &name, None, &heard).unwrap();
    assert_eq!((pulled.status, pulled.digest.to_string()), (PullStatus::Downloaded, digest.clone()));
    assert_eq!(pulled.id, Digest::of(&made.config));
    let heard = heard.0.into_inner().unwrap();
    assert_eq!(heard[0], "1: Pulling from team/web");
    assert_eq!(heard.iter().filter(|line| line.ends_with("PullComplete")).count(), 3, "{heard:?}");

    let record = resolve(&store, &name.to_string()).unwrap();
    let trees = unpacked(&store, &record, &mapping().key).unwrap();
    assert_eq!(trees.len(), 4);
    assert_eq!(fs::read(trees[1].join("shared")).unwrap(), b"upper");
    assert_eq!(fs::read(trees[2].join("big")).unwrap().len(), 3 << 20);
    for blob in &made.blobs {
        assert_eq!(
            fs::read(store.blob_path(&Digest::of(blob))).unwrap(),
            *blob,
            "blobs are kept as they came"
        );
    }
    assert_eq!(resolve(&store, &format!("{}/team/web@{digest}", registry.host())).unwrap(), record);
    assert_eq!(sweep(&store).unwrap(), crate::store::Freed::default());

    let again = pull(&store, &mapping(), &client(), &name, None, &Quiet).unwrap();
    assert_eq!((again.status, again.id), (PullStatus::UpToDate, pulled.id));
    assert_eq!(registry.requests("/blobs/").len(), 4, "nothing is fetched twice");

    // The tag moves: the old image stays, without it.
    let other = make(
        &[(archive(&[("new", b"n")]), gzip(&archive(&[("new", b"n")])))],
        &Platform::host().architecture,
    );
    serve(&registry, "team/web", "1", &other);
    let moved = pull(&store, &mapping(), &client(), &name, None, &Quiet).unwrap();
    assert_eq!(moved.status, PullStatus::Downloaded);
    assert_eq!(resolve(&store, &name.to_string()).unwrap().id, moved.id);
    assert!(store.image(&pulled.id).unwrap().is_some());
}

#[test]
fn tells_which_step_made_which_layer() {
    let (_dir, store) = scratch();
    let registry = Registry::start();
    let (one, two) = (archive(&[("a", b"1")]), archive(&[("b", b"22")]));
    let mut made = make(&[(one.clone(), one), (two.clone(), two)], "amd64");
    let mut config: Value = serde_json::from_slice(&made.config).unwrap();
    config["history"] = json!([{"created_by": "ENV", "empty_layer": true}, {"created_by": "ADD a"},
        {"created_by": "CMD", "empty_layer": true}, {"created_by": "ADD b", "comment": "buildkit"}]);
    made.config = config.to_string().into_bytes();
    let mut manifest: Value = serde_json::from_slice(&made.manifest).unwrap();
    manifest["config"]["digest"] = json!(Digest::of(&made.config));
    manifest["config"]["size"] = json!(made.config.len());
    made.manifest = manifest.to_string().into_bytes();
    serve(&registry, "web", "latest", &made);
    let id = pull(&store, &mapping(), &client(), &reference(&registry, "web"), None, &Quiet).unwrap().id;
    let record = store.image(&id).unwrap().unwrap();
    let rows = history(&store, &record).unwrap();
    let rows: Vec<_> = rows.iter().map(|row| (row.created_by.as_str(), row.size, row.id.is_some())).collect();
    assert_eq!(rows, [("ADD b", 2, true), ("CMD", 0, false), ("ADD a", 1, false), ("ENV", 0, false)]);
    let value = inspect(&store, &record, &mapping().key).unwrap();
    assert_eq!((&value["Comment"], &value["Size"]), (&json!("buildkit"), &json!(3)));
    assert_eq!(value["RepoDigests"][0], format!("{}/web@{}", registry.host(), Digest::of(&made.manifest)));
}

#[test]
fn chooses_from_an_index_and_keeps_it() {
    let (_dir, store) = scratch();
    let registry = Registry::start();
    let (own, other) = (sample(), make(&[], "s390x"));
    let mut entries = Vec::new();
    for (made, architecture) in [(&other, "s390x".to_owned()), (&own, Platform::host().architecture)] {
        let digest = serve(&registry, "web", &architecture, made);
        entries.push(json!({"mediaType": import::MANIFEST, "digest": digest, "size": made.manifest.len(),
            "platform": {"os": "linux", "architecture": architecture}}));
    }
    entries.push(json!({"mediaType": import::MANIFEST, "digest": Digest::of(b"attestation"), "size": 1,
        "platform": {"os": "unknown", "architecture": "unknown"}, "annotations": {"vnd.docker.reference.type": "attestation-manifest"}}));
    let index = json!({"schemaVersion": 2, "manifests": entries}).to_string();
    let digest = registry.manifest("web", "latest", "application/vnd.oci.image.index.v1+json", index);
    let name = reference(&registry, "web");
    let pulled = pull(&store, &mapping(), &client(), &name, None, &Quiet).unwrap();
    assert_eq!((pulled.digest.to_string(), pulled.id), (digest, Digest::of(&own.config)));
    sweep(&store).unwrap();
    assert!(store.blob_size(&pulled.digest).is_some(), "the index stays");
    let platform: Platform = "linux/s390x".parse().unwrap();
    let pulled = pull(&store, &mapping(), &client(), &name, Some(&platform), &Quiet).unwrap();
    assert_eq!(pulled.id, Digest::of(&other.config));
    let platform: Platform = "linux/mips".parse().unwrap();
    let error = pull(&store, &mapping(), &client(), &name, Some(&platform), &Quiet).unwrap_err();
    assert_eq!(error.to_string(), "no matching manifest for linux/mips in the manifest list entries");
    let error =
        pull(&store, &mapping(), &client(), &reference(&registry, "web:s390x"), Some(&platform), &Quiet)
            .unwrap_err();
    assert!(error.to_string().contains("(linux/s390x) does not match the specified"), "{error}");
}

#[test]
fn leaves_the_store_as_it_was_when_a_pull_fails() {
    let (_dir, store) = scratch();
    let registry = Registry::start();
    let before = content(&store);
    let good = sample();
    let digest = |at: usize| Digest::of(&good.blobs[at]);
    let fail = |name: &str, expected: &str| {
        let error =
            pull(&store, &mapping(), &client(), &reference(&registry, name), None, &Quiet).unwrap_err();
        assert!(format!("{error:#}").contains(expected), "{error:#} has no {expected}");
        assert_eq!(content(&store), before, "{expected}");
        assert!(store.refs().unwrap().is_empty());
    };
    fail("none", "not found");
    // A configuration that tells other layers than there are.
    let one = archive(&[("a", b"a")]);
    let lying = make(&[(archive(&[("b", b"b")]), gzip(&one))], "amd64");
    serve(&registry, "lying", "latest", &lying);
    fail("lying", "filesystem layer verification failed");
    let mut longer = make(&[(one.clone(), gzip(&one))], "amd64");
    let mut document: Value = serde_json::from_slice(&longer.manifest).unwrap();
    document["layers"]
        .as_array_mut()
        .unwrap()
        .push(json!({"mediaType": "application/vnd.oci.image.layer.v1.tar",
        "digest": Digest::of(&one), "size": one.len()}));
    longer.manifest = document.to_string().into_bytes();
    serve(&registry, "longer", "latest", &longer);
    fail("longer", "layers length mismatch");
    let escape = {
        let mut bytes = archive(&[("xx/evil", b"a")]);
        bytes[..2].copy_from_slice(b"..");
        let sum: u32 = bytes[..512]
            .iter()
            .enumerate()
            .map(|(at, b)| u32::from(if (148..156).contains(&at) { b' ' } else { *b }))
            .sum();
        bytes[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        bytes
    };
    serve(
        &registry,
        "escape",
        "latest",
        &make(&[(one.clone(), gzip(&one)), (escape.clone(), gzip(&escape))], "amd64"),
    );
    fail("escape", "is outside of the layer");
    let cut = gzip(&one)[..20].to_vec();
    serve(&registry, "cut", "latest", &make(&[(one.clone(), cut)], "amd64"));
    fail("cut", "decompress the layer");

    serve(&registry, "good", "latest", &good);
    registry.remove_blob(&digest(2).to_string());
    fail("good", "blob");
    registry.blob(good.blobs[2].clone());
    registry.fault(
        &format!("/blobs/{}", digest(0)),
        Times::Always,
        Fault::Status(500, Vec::new(), String::new()),
    );
    fail("good", "500");
    registry.mend();
    pull(&store, &mapping(), &client(), &reference(&registry, "good"), None, &Quiet).unwrap();
}

#[test]
fn fetches_a_blob_that_is_lost_and_unpacks_one_that_is_there() {
    let (_dir, store) = scratch();
    let registry = Registry::start();
    let made = sample();
    serve(&registry, "web", "latest", &made);
    let name = reference(&registry, "web");
    let pulled = pull(&store, &mapping(), &client(), &name, None, &Quiet).unwrap();
    fs::remove_file(store.blob_path(&Digest::of(&made.blobs[0]))).unwrap();
    pull(&store, &mapping(), &client(), &name, None, &Quiet).unwrap();
    assert!(store.blob_size(&Digest::of(&made.blobs[0])).is_some());
    let requests = registry.requests("/blobs/").len();
    let other = Mapping { key: MapKey::of("other"), ..mapping() };
    pull(&store, &other, &client(), &name, None, &Quiet).unwrap();
    assert_eq!(registry.requests("/blobs/").len(), requests);
    assert!(unpacked(&store, &store.image(&pulled.id).unwrap().unwrap(), &other.key).is_some());
}

fn load_bytes(store: &Store, bytes: Vec<u8>) -> Result<Vec<Loaded>> {
    load(store, &mapping(), Input::Archive(Box::new(std::io::Cursor::new(bytes))), None, &Quiet)
}

#[test]
fn loads_docker_archives() {
    let (_dir, store) = scratch();
    let one = archive(&[("one", b"1")]);
    let two = archive(&[("two", b"2")]);
    let made =
        make(&[(one.clone(), one.clone()), (two.clone(), two.clone()), (one.clone(), one.clone())], "amd64");
    let other = make(&[(one.clone(), one.clone())], "arm64");
    let manifest = json!([
        {"Config": "c.json", "RepoTags": ["web:1", "localhost:5000/web:2"], "Layers": ["1/layer.tar", "2/layer.tar", "1/layer.tar"]},
        {"Config": "d.json", "RepoTags": null, "Layers": ["3/layer.tar"]},
    ]);
    let mut builder = tar::Builder::new(Vec::new());
    let mut add = |name: &str, data: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(data.len() as u64);
        builder.append_data(&mut header, name, data).unwrap();
    };
    add("1/layer.tar", &one);
    add("2/layer.tar", &gzip(&two));
    add("c.json", &made.config);
    add("d.json", &other.config);
    add("manifest.json", manifest.to_string().as_bytes());
    let mut header = tar::Header::new_gnu();
    header.set_size(0);
    header.set_entry_type(tar::EntryType::Symlink);
    builder.append_link(&mut header, "3/layer.tar", "../1/layer.tar").unwrap();
    let bytes = builder.into_inner().unwrap();
    for bytes in [bytes.clone(), gzip(&bytes)] {
        let loaded = load_bytes(&store, bytes).unwrap();
        let expected = [
            Loaded::Name("web:1".into()),
            Loaded::Name("localhost:5000/web:2".into()),
            Loaded::Id(Digest::of(&other.config)),
        ];
        assert_eq!(loaded, expected);
    }
    let record = resolve(&store, "web:1").unwrap();
    assert_eq!(record.id, Digest::of(&made.config));
    let trees = unpacked(&store, &record, &mapping().key).unwrap();
    assert_eq!(fs::read(trees[1].join("two")).unwrap(), b"2");
    assert_eq!(fs::read(store.blob_path(&Digest::of(&two))).unwrap(), two, "kept without compression");
    assert_eq!(sweep(&store).unwrap(), crate::store::Freed::default());
    // Unpacked anew from what was kept.
    let other = Mapping { key: MapKey::of("other"), ..mapping() };
    assert_eq!(ensure_layers(&store, &record, &other, None).unwrap().len(), 3);
}

#[test]
fn loads_oci_layouts() {
    let (dir, store) = scratch();
    let made = sample();
    let digest = Digest::of(&made.manifest);
    let entry = |name: Option<&str>| {
        let mut entry = json!({"mediaType": import::MANIFEST, "digest": digest, "size": made.manifest.len()});
        if let Some(name) = name {
            entry["annotations"] = json!({"org.opencontainers.image.ref.name": name});
        }
        entry
    };
    let mut files = vec![
        ("oci-layout".to_owned(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()),
        (
            "index.json".to_owned(),
            json!({"schemaVersion": 2, "manifests": [entry(Some("web:9")), entry(Some("9"))]})
                .to_string()
                .into_bytes(),
        ),
    ];
    for blob in made.blobs.iter().chain([&made.config, &made.manifest]) {
        files.push((format!("blobs/sha256/{}", Digest::of(blob).hex()), blob.clone()));
    }
    let listed: Vec<_> = files.iter().map(|(name, data)| (name.as_str(), data.as_slice())).collect();
    let expected = [Loaded::Name("web:9".into()), Loaded::Id(Digest::of(&made.config))];
    assert_eq!(load_bytes(&store, archive(&listed)).unwrap(), expected);
    let record = resolve(&store, "web:9").unwrap();
    assert_eq!(record.manifest, digest, "the manifest is kept as it came");
    assert!(store.blob_size(&Digest::of(&made.blobs[0])).is_some());

    let layout = dir.path().join("layout");
    for (name, data) in &files {
        fs::create_dir_all(layout.join(name).parent().unwrap()).unwrap();
        fs::write(layout.join(name), data).unwrap();
    }
    let (_other, store) = scratch();
    let load_layout = || load(&store, &mapping(), Input::Layout(layout.clone()), None, &Quiet);
    assert_eq!(load_layout().unwrap(), expected);

    // Content that does not have its digest, in the archive and in the directory.
    let (_third, store) = scratch();
    let before = content(&store);
    let place = files.iter().position(|(name, _)| name.ends_with(&Digest::of(&made.blobs[1]).hex())).unwrap();
    files[place].1[600] ^= 1;
    fs::write(layout.join(&files[place].0), &files[place].1).unwrap();
    let listed: Vec<_> = files.iter().map(|(name, data)| (name.as_str(), data.as_slice())).collect();
    let error = load_bytes(&store, archive(&listed)).unwrap_err();
    assert!(format!("{error:#}").contains("does not have the digest"), "{error:#}");
    let error = load(&store, &mapping(), Input::Layout(layout), None, &Quiet).unwrap_err();
    assert!(format!("{error:#}").contains("verification failed"), "{error:#}");
    assert_eq!(content(&store), before);
}

#[test]
fn refuses_what_is_no_archive_of_images() {
    let (_dir, store) = scratch();
    let before = content(&store);
    for (bytes, expected) in [
        (archive(&[("x", b"x")]), "it is no archive of images"),
        (archive(&[("repositories", b"{}")]), "before 1.10"),
        (b"nonsense".repeat(200), "not a tar archive"),
        (archive(&[("manifest.json", b"[{\"Config\":\"c\",\"Layers\":[]}]")]), "c is not in the archive"),
        (archive(&[("manifest.json", b"{")]), "parse manifest.json"),
        (archive(&[("index.json", b"{\"schemaVersion\":2}")]), "has no configuration"),
        (archive(&[("x", &[1; 4000])])[..2000].to_vec(), "cut off"),
    ] {
        let error = load_bytes(&store, bytes).unwrap_err();
        assert!(format!("{error:#}").contains(expected), "{error:#} has no {expected}");
        assert_eq!(content(&store), before);
    }
}
