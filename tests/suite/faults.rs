//! Registries that fail, both ways: what passes is waited for, everything else is one clear error, and neither a
//! store nor a registry keeps half of anything.

use std::path::PathBuf;

use serde_json::json;

use crate::pull::put;
use crate::push::noisy;
use crate::support::harness::{Test, tests};
use crate::support::registry::{Auth, Fault, Registry, Times, digest};
use crate::support::{Image, Layer, Sandbox};

pub(crate) const TESTS: &[Test] = tests![
    a_pull_outlives_what_passes,
    a_pull_that_cannot_be_is_one_error,
    a_push_outlives_what_passes,
    a_push_that_cannot_be_is_one_error,
    a_token_that_expires_is_renewed,
    a_token_that_expires_under_an_upload_is_renewed,
    credentials_stay_with_their_registry,
    redirects_that_lead_nowhere_are_an_error,
];

/// Asks that nothing be tried again.
fn for_long() -> Vec<(String, String)> {
    vec![("Retry-After".to_owned(), "3600".to_owned())]
}

fn soon() -> Vec<(String, String)> {
    vec![("Retry-After".to_owned(), "0".to_owned())]
}

fn body(code: &str, message: &str) -> String {
    json!({ "errors": [{ "code": code, "message": message }] }).to_string()
}

fn status(status: u16, headers: Vec<(String, String)>, code: &str, message: &str) -> Fault {
    Fault::Status(status, headers, body(code, message))
}

/// Returns a directory with Docker's configuration, in which `ann` is logged in at the registry.
fn account(sandbox: &Sandbox, registry: &Registry) -> PathBuf {
    sandbox.directory("config");
    let config = json!({ "auths": { registry.host(): { "auth": "YW5uOnNlY3JldA==" } } });
    sandbox.file("config/config.json", config.to_string());
    sandbox.work().join("config")
}

fn ann() -> (String, String) {
    ("ann".to_owned(), "secret".to_owned())
}

fn a_pull_outlives_what_passes() {
    let sandbox = Sandbox::new();
    let registry = Registry::start();
    let (reference, layer) = put(&registry);
    for (path, fault) in [
        ("/manifests/", status(429, soon(), "TOOMANYREQUESTS", "slow down")),
        ("/manifests/", status(503, Vec::new(), "UNAVAILABLE", "later")),
        ("/manifests/", Fault::Hangup),
        ("/manifests/", Fault::Cut { after: 10 }),
        (&layer, status(429, soon(), "TOOMANYREQUESTS", "slow down")),
        (&layer, status(500, Vec::new(), "UNKNOWN", "trouble")),
        (&layer, status(502, Vec::new(), "UNKNOWN", "bad gateway")),
        (&layer, Fault::Hangup),
        (&layer, Fault::Cut { after: 0 }),
        (&layer, Fault::Chunked),
    ] {
        let name = format!("{fault:?} at {path}");
        registry.mend();
        // A pull begins with HEAD where the name is known; here it never is.
        registry.fault(path, Times::First(1), fault);
        let outcome = sandbox.run(["pull", &reference]);
        assert_eq!(outcome.code, Some(0), "{name}: {outcome}");
        sandbox.run(["rmi", &reference]).success();
    }
    registry.mend();
    sandbox.run(["run", "--rm", "-q", &reference, "cat", "/x"]).stdout("x\n").success();
    sandbox.run(["system", "check"]).success();
}

fn a_pull_that_cannot_be_is_one_error() {
    let sandbox = Sandbox::new().with("other", &Image::busybox().config("Env", json!(["A=1"])));
    let before = crate::hostile::listing(&sandbox.store());
    let registry = Registry::start();
    let (reference, layer) = put(&registry);
    let lie = vec![("Docker-Content-Digest".to_owned(), digest(b"something else"))];
    let other = Image::scratch().layer(&Layer::new().file("/x", "not x\n")).blobs().layers.remove(0);
    for (path, fault, text) in [
        ("/manifests/", status(401, Vec::new(), "UNAUTHORIZED", "authentication required"), "unauthorized"),
        ("/manifests/", status(403, Vec::new(), "DENIED", "not yours"), "pull access denied"),
        ("/manifests/", status(404, Vec::new(), "MANIFEST_UNKNOWN", "manifest unknown"), "not found"),
        (
            "/manifests/",
            status(429, for_long(), "TOOMANYREQUESTS", "slow down"),
            "toomanyrequests: slow down",
        ),
        ("/manifests/", status(500, for_long(), "UNKNOWN", "trouble"), "500 Internal Server Error: trouble"),
        ("/manifests/", Fault::Headers(lie), "manifest verification failed for digest"),
        ("/manifests/", Fault::Shorten { to: 100 }, ""),
        (&layer, status(401, Vec::new(), "UNAUTHORIZED", "authentication required"), "unauthorized"),
        (&layer, status(403, Vec::new(), "DENIED", "not yours"), "denied"),
        (&layer, status(404, Vec::new(), "BLOB_UNKNOWN", "blob unknown"), "blob unknown"),
        (&layer, status(429, for_long(), "TOOMANYREQUESTS", "slow down"), "toomanyrequests: slow down"),
        (&layer, status(500, for_long(), "UNKNOWN", "trouble"), "500 Internal Server Error: trouble"),
        (&layer, Fault::Shorten { to: 1000 }, "wrong size"),
        (&layer, Fault::Lengthen { by: 1000 }, "wrong size"),
        (&layer, Fault::Replace(other.bytes), "wrong size"),
    ] {
        let name = format!("{fault:?} at {path}");
        registry.mend();
        registry.fault(path, Times::Always, fault);
        let outcome = sandbox.run(["pull", &reference]);
        assert_eq!(outcome.code, Some(1), "{name}: {outcome}");
        outcome.stderr_contains("Error response from daemon: ").stderr_contains(text);
        assert_eq!(outcome.error_text().lines().count(), 1, "{name}: {outcome}");
        assert_eq!(crate::hostile::listing(&sandbox.store()), before, "{name}");
    }
    registry.mend();
    sandbox.run(["run", "--rm", "-q", &reference, "cat", "/x"]).stdout("x\n").success();
    sandbox.run(["system", "check"]).success();
}

fn a_push_outlives_what_passes() {
    let registry = Registry::start();
    let (sandbox, reference, layer) = noisy(&registry);
    let upload = layer.replace(':', "%3A");
    for (path, fault) in [
        ("/uploads/", status(429, soon(), "TOOMANYREQUESTS", "slow down")),
        ("/uploads/", status(502, Vec::new(), "UNKNOWN", "bad gateway")),
        ("/uploads/", Fault::Hangup),
        (&upload, status(429, soon(), "TOOMANYREQUESTS", "slow down")),
        (&upload, status(500, Vec::new(), "UNKNOWN", "trouble")),
        (&upload, Fault::CutUpload { after: 0 }),
        (&upload, Fault::CutUpload { after: 2_000_000 }),
        (&upload, Fault::Hangup),
        ("/manifests/v1", status(500, Vec::new(), "UNKNOWN", "trouble")),
        ("/manifests/v1", Fault::Hangup),
    ] {
        let name = format!("{fault:?} at {path}");
        registry.mend();
        registry.remove_blob(&layer);
        registry.fault(path, Times::First(1), fault);
        let outcome = sandbox.run(["push", &reference]);
        assert_eq!(outcome.code, Some(0), "{name}: {outcome}");
        assert!(registry.blob_of("team/box", &layer).is_some(), "{name}");
    }
    registry.mend();
    Sandbox::new().run(["run", "--rm", "-q", &reference, "cat", "/x"]).stdout("x\n").success();
}

fn a_push_that_cannot_be_is_one_error() {
    let registry = Registry::start();
    let (sandbox, reference, layer) = noisy(&registry);
    let upload = layer.replace(':', "%3A");
    let before = crate::hostile::listing(&sandbox.store());
    let lie = || Fault::Headers(vec![("Docker-Content-Digest".to_owned(), digest(b"something else"))]);
    for (path, fault, text) in [
        (upload.as_str(), lie(), "blob verification failed for digest"),
        (&upload, status(400, Vec::new(), "DIGEST_INVALID", "odd"), "digest invalid: odd"),
        (&upload, status(401, Vec::new(), "UNAUTHORIZED", "authentication required"), "unauthorized"),
        (&upload, status(403, Vec::new(), "DENIED", "no room"), "denied: no room"),
        (&upload, status(507, Vec::new(), "QUOTA", "full"), "full"),
        (&upload, status(500, for_long(), "UNKNOWN", "trouble"), "500 Internal Server Error: trouble"),
        ("/uploads/", Fault::Headers(vec![("Location".to_owned(), "http://".to_owned())]), "bad address"),
        ("/manifests/v1", status(403, Vec::new(), "DENIED", "frozen"), "denied: frozen"),
        ("/manifests/v1", lie(), "manifest verification failed for digest"),
    ] {
        let name = format!("{fault:?} at {path}");
        registry.mend();
        registry.remove_blob(&layer);
        registry.fault(path, Times::Always, fault);
        let outcome = sandbox.run(["push", &reference]);
        assert_eq!(outcome.code, Some(1), "{name}: {outcome}");
        outcome.stderr_contains(text).stdout_lacks("digest:");
        assert_eq!(outcome.error_text().lines().count(), 1, "{name}: {outcome}");
        assert_eq!(crate::hostile::listing(&sandbox.store()), before, "{name}");
    }
    registry.mend();
    sandbox.run(["push", &reference]).success();
    Sandbox::new().run(["run", "--rm", "-q", &reference, "cat", "/x"]).stdout("x\n").success();
}

fn a_token_that_expires_is_renewed() {
    // One at a time: a token that is no longer good a moment after it was made is a refusal.
    for path in ["/uploads/", "/manifests/v1", "digest="] {
        let registry = Registry::start();
        let (sandbox, reference, _) = noisy(&registry);
        let config = account(&sandbox, &registry);
        registry.require(Auth::Bearer { account: Some(ann()), refresh: None });
        registry.fault(path, Times::First(1), Fault::Expire);
        sandbox.command(["push", &reference]).env("DOCKER_CONFIG", config.to_str().unwrap()).run().success();
        let asked = registry.requests("/token").len();
        assert!(asked > 1, "{path}: {asked}");
    }
    let registry = Registry::start();
    let (sandbox, reference, layer) = noisy(&registry);
    let config = account(&sandbox, &registry);
    let config = config.to_str().unwrap();
    registry.require(Auth::Bearer { account: Some(ann()), refresh: None });
    sandbox.command(["push", &reference]).env("DOCKER_CONFIG", config).run().success();
    let pushing = registry.requests("/token").len();
    sandbox.run(["rmi", &reference]).success();
    // The connection breaks, and the token that is shown for the rest is no longer good.
    let blob = format!("/blobs/{layer}");
    registry.fault(&blob, Times::First(1), Fault::Cut { after: 700_000 });
    registry.fault(&blob, Times::First(1), Fault::Expire);
    sandbox.command(["pull", &reference]).env("DOCKER_CONFIG", config).run().success();
    assert!(registry.requests("/token").len() > pushing + 1);
    let asked = registry.requests(&blob);
    assert!(asked.iter().filter(|request| request.header("range").is_some()).count() > 1, "{asked:#?}");
    sandbox.run(["run", "--rm", &reference, "cat", "/x"]).stdout("x\n").success();
}

fn a_token_that_expires_under_an_upload_is_renewed() {
    for after in [0, 1_000_000] {
        let registry = Registry::start();
        let (sandbox, reference, layer) = noisy(&registry);
        let config = account(&sandbox, &registry);
        registry.require(Auth::Bearer { account: Some(ann()), refresh: None });
        registry.fault(&layer.replace(':', "%3A"), Times::First(1), Fault::RefuseUpload { after });
        let push = sandbox.command(["push", &reference]).env("DOCKER_CONFIG", config.to_str().unwrap()).run();
        push.success().stdout_contains("v1: digest: sha256:");
        assert!(registry.blob_of("team/box", &layer).is_some());
    }
}

fn credentials_stay_with_their_registry() {
    let (registry, elsewhere) = (Registry::start(), Registry::start());
    let (reference, layer) = put(&registry);
    put(&elsewhere);
    let sandbox = Sandbox::new();
    let config = account(&sandbox, &registry);
    let config = config.to_str().unwrap();
    registry.require(Auth::Basic { username: "ann".to_owned(), password: "secret".to_owned() });
    let away = format!("http://{}/v2/team/box/blobs/", elsewhere.host());
    registry.fault(&layer, Times::Always, Fault::Redirect(away));
    let run = ["run", "--rm", "-q", &reference, "cat", "/x"];
    sandbox.command(run).env("DOCKER_CONFIG", config).run().stdout("x\n").success();
    let asked = elsewhere.requests("/");
    assert!(!asked.is_empty());
    assert!(asked.iter().all(|request| request.header("authorization").is_none()), "{asked:#?}");

    // An upload may go on elsewhere too.
    let (sandbox, reference, layer) = noisy(&registry);
    account(&sandbox, &registry);
    registry.mend();
    let place = vec![("Location".to_owned(), elsewhere.begin_upload("team/box"))];
    let before = elsewhere.requests("/").len();
    registry.fault("/blobs/uploads/", Times::Always, Fault::Headers(place));
    let config = sandbox.work().join("config");
    // The registry does not get what went there, and says so in the end.
    let push = sandbox.command(["push", &reference]).env("DOCKER_CONFIG", config.to_str().unwrap()).run();
    push.code(1);
    let asked = elsewhere.requests("/").split_off(before);
    assert!(asked.iter().any(|request| request.method == "PUT"), "{asked:#?}");
    assert!(asked.iter().all(|request| request.header("authorization").is_none()), "{asked:#?}");
    assert!(registry.blob_of("team/box", &layer).is_none());
}

fn redirects_that_lead_nowhere_are_an_error() {
    let registry = Registry::start();
    let (reference, layer) = put(&registry);
    let sandbox = Sandbox::new();
    let round = format!("http://{}/v2/team/box/blobs/", registry.host());
    registry.fault(&layer, Times::Always, Fault::Redirect(round));
    let outcome = sandbox.run(["pull", &reference]);
    outcome.code(1).stderr_contains("too many redirects");
    assert!(registry.requests(&layer).len() < 50);
    sandbox.run(["images", "-aq"]).stdout("");

    let (sandbox, reference, _) = noisy(&registry);
    registry.mend();
    let round = format!("http://{}/v2/team/box/blobs/uploads/", registry.host());
    registry.fault("/blobs/uploads/", Times::Always, Fault::Redirect(round));
    sandbox.run(["push", &reference]).code(1).stderr_contains("too many redirects");
}
