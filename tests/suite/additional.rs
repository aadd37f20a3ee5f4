//! `additional_stores`: images of another store are run without a copy, and are its own to remove.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::support::harness::{Test, tests};
use crate::support::host::second_user;
use crate::support::registry::Registry;
use crate::support::{Image, Layer, Need, Sandbox, needs};

pub(crate) const TESTS: &[Test] = tests![
    runs_images_of_another_store,
    refuses_to_remove_what_is_lent,
    lends_blobs_to_other_ids,
    what_is_taken_away_is_absent,
    what_is_damaged_is_not_believed,
    a_store_that_cannot_be_read_is_passed_over,
];

/// Makes a store that others may read, with one image in it, and has the sandbox borrow from it.
pub(crate) fn lending(sandbox: &Sandbox) -> PathBuf {
    let dir = PathBuf::from(sandbox.directory("lent"));
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
    let image = Image::busybox().layer(&Layer::new().file("/hello", "hi\n"));
    sandbox
        .command(["load", "-q"])
        .env("CORACLE_ROOT", dir.to_str().unwrap())
        .stdin(image.docker_archive("team/box:1"))
        .run()
        .success();
    borrow(sandbox, &dir);
    dir
}

fn borrow(sandbox: &Sandbox, dir: &Path) {
    let config = sandbox.dir().join("config/coracle");
    fs::create_dir_all(&config).unwrap();
    fs::set_permissions(&config, fs::Permissions::from_mode(0o755)).unwrap();
    let text = format!("additional_stores = [\"{}\"]\n", dir.display());
    fs::write(config.join("config.toml"), text).unwrap();
    fs::set_permissions(config.join("config.toml"), fs::Permissions::from_mode(0o644)).unwrap();
}

fn regular_files(dir: PathBuf) -> usize {
    let count =
        |entries: fs::ReadDir| entries.flatten().filter(|entry| entry.file_type().unwrap().is_file()).count();
    fs::read_dir(dir).map_or(0, count)
}

fn runs_images_of_another_store() {
    let sandbox = Sandbox::new();
    lending(&sandbox);
    sandbox.run(["images", "--format", "{{.Repository}}:{{.Tag}}"]).stdout("team/box:1\n").success();
    sandbox.run(["images", "--tree"]).success().stdout_contains("team/box:1");
    sandbox.run(["run", "--rm", "--pull", "never", "team/box:1", "cat", "/hello"]).stdout("hi\n").success();
    sandbox.run(["run", "-d", "--name", "cc", "team/box:1", "sleep", "1000"]).success();
    sandbox.run(["exec", "cc", "cat", "/hello"]).stdout("hi\n").success();
    sandbox.run(["inspect", "-f", "{{len .RootFS.Layers}}", "team/box:1"]).stdout("2\n").success();
    sandbox.run(["tag", "team/box:1", "mine:1"]).success();
    assert_eq!(sandbox.run(["images", "-q"]).success().lines().len(), 1);
    // Nothing was copied but the manifest and the configuration.
    assert_eq!(regular_files(sandbox.store().join("blobs/sha256")), 2);
    for map in fs::read_dir(sandbox.store().join("layers")).unwrap().flatten() {
        assert!(fs::read_dir(map.path()).unwrap().flatten().all(|layer| layer.path().is_symlink()));
    }
    crate::check::clean(&sandbox);
    sandbox.run(["rm", "-f", "cc"]).success();
    // An own image that shares a layer with it borrows that.
    let image = Image::busybox().layer(&Layer::new().file("/own", "own\n"));
    sandbox.command(["load", "-q"]).stdin(image.docker_archive("own:1")).run().success();
    sandbox.run(["run", "--rm", "own:1", "cat", "/own"]).stdout("own\n").success();
    crate::check::clean(&sandbox);
}

fn refuses_to_remove_what_is_lent() {
    let sandbox = Sandbox::new();
    let dir = lending(&sandbox);
    let before = crate::hostile::listing(&dir);
    let id = sandbox.run(["images", "-q"]).success().text();
    for words in [&["rmi", "team/box:1"][..], &["rmi", "-f", &id], &["rmi", "team/box:1", "-f"]] {
        sandbox.run(words.iter().copied()).code(1).stdout("").stderr(&format!(
            "Error response from daemon: conflict: unable to delete {id} (cannot be forced) - image is in the \
             read-only store {}\n",
            dir.display()
        ));
    }
    sandbox.run(["image", "prune", "-af"]).stdout("Total reclaimed space: 0B\n").success();
    // What was borrowed can be given back.
    sandbox.run(["tag", "team/box:1", "mine:1"]).success();
    sandbox.run(["rmi", "mine:1"]).success().stdout_contains("Untagged: mine:1\nDeleted: ");
    assert_eq!(fs::read_dir(sandbox.store().join("blobs/sha256")).unwrap().count(), 0);
    assert_eq!(crate::hostile::listing(&dir), before);
    sandbox.run(["run", "--rm", "team/box:1", "cat", "/hello"]).stdout("hi\n").success();
    sandbox.run(["rmi", "-f", &id]).success().stdout_contains("Deleted: ");
    assert_eq!(crate::hostile::listing(&dir), before);
    sandbox.run(["run", "--rm", "team/box:1", "cat", "/hello"]).stdout("hi\n").success();
    crate::check::clean(&sandbox);
}

fn lends_blobs_to_other_ids() {
    needs(Need::NoSubidsUser);
    needs(Need::Subids);
    let lender = Sandbox::new();
    let dir = lending(&lender);
    for above in dir.ancestors().take_while(|above| above.starts_with(lender.dir())) {
        fs::set_permissions(above, fs::Permissions::from_mode(0o755)).unwrap();
    }
    // There are setuid programs in layers, and files that are open to all.
    assert_eq!(fs::metadata(dir.join("layers")).unwrap().permissions().mode() & 0o777, 0o700);
    let sandbox = Sandbox::of(&second_user().unwrap());
    borrow(&sandbox, &dir);
    sandbox.run(["images", "--format", "{{.Repository}}:{{.Tag}}"]).stdout("team/box:1\n").success();
    sandbox.run(["run", "--rm", "--pull", "never", "team/box:1", "cat", "/hello"]).stdout("hi\n").success();
    assert_eq!(regular_files(sandbox.store().join("blobs/sha256")), 2);
    sandbox.run(["images", "--format", "{{.Repository}}:{{.Tag}}"]).stdout("team/box:1\n").success();
    crate::check::clean(&sandbox);
}

/// Returns the one compressed layer with `/hello` in it, and where the lender has it.
fn layer_of(sandbox: &Sandbox, dir: &Path) -> PathBuf {
    let text = sandbox.run(["inspect", "-f", "{{index .RootFS.Layers 1}}", "team/box:1"]).success().text();
    dir.join("blobs/sha256").join(text.trim().strip_prefix("sha256:").unwrap())
}

fn what_is_taken_away_is_absent() {
    let sandbox = Sandbox::new();
    let dir = lending(&sandbox);
    sandbox.run(["tag", "team/box:1", "mine:1"]).success();
    let blob = layer_of(&sandbox, &dir);
    let away = sandbox.work().join("away");
    fs::rename(&blob, &away).unwrap();
    sandbox.run(["system", "check"]).code(1).stdout_contains(": is missing\n");
    // The documents are here, and the layers are not needed.
    sandbox.run(["images", "-q"]).success().stdout_contains("\n");
    sandbox.run(["run", "--rm", "mine:1", "cat", "/hello"]).stdout("hi\n").success();
    fs::rename(&away, &blob).unwrap();
    crate::check::clean(&sandbox);
    // Without the unpacked layers, a container cannot begin anew, and says why.
    sandbox.run(["create", "--name", "cc", "mine:1", "cat", "/hello"]).success();
    fs::rename(dir.join("layers"), &away).unwrap();
    let outcome = sandbox.run(["start", "-a", "cc"]);
    outcome.stderr_contains("was borrowed and is not there any more");
    sandbox.run(["system", "check", "--repair"]).success().stdout_contains("; repaired: unpacked anew");
    sandbox.run(["start", "-a", "cc"]).stdout("hi\n").success();
    fs::rename(&away, dir.join("layers")).unwrap();
    crate::check::clean(&sandbox);
    // The whole lender may go. What was copied is here, and what was not is an error that says so.
    sandbox.run(["rm", "cc"]).success();
    fs::rename(&dir, &away).unwrap();
    let outcome = sandbox.run(["inspect", "-f", "{{len .RootFS.Layers}}", "mine:1"]);
    outcome.stdout("2\n").success().stderr_contains("WARNING: the additional store");
    sandbox.run(["run", "--rm", "--pull", "never", "team/box:1"]).code(125).stderr_contains("No such image");
    let archive = Image::busybox().layer(&Layer::new().file("/hello", "hi\n")).docker_archive("mine:1");
    sandbox.command(["load", "-q"]).stdin(archive).run().success();
    sandbox.run(["run", "--rm", "mine:1", "cat", "/hello"]).stdout("hi\n").success();
    crate::check::clean(&sandbox);
}

fn what_is_damaged_is_not_believed() {
    let registry = Registry::start();
    let image = Image::busybox().layer(&Layer::new().file("/hello", "hi\n"));
    let blobs = image.blobs();
    for blob in blobs.layers.iter().chain([&blobs.config]) {
        registry.blob(blob.bytes.clone());
    }
    registry.manifest("team/box", "1", &blobs.manifest.media_type, blobs.manifest.bytes);
    let reference = format!("{}/team/box:1", registry.host());
    let sandbox = Sandbox::new();
    let dir = PathBuf::from(sandbox.directory("lent"));
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
    let root = dir.to_str().unwrap().to_owned();
    sandbox.command(["pull", "-q", &reference]).env("CORACLE_ROOT", &root).run().success();
    // As many bytes as before, and not the same; and no layer that was unpacked while they were.
    fs::remove_dir_all(dir.join("layers"))
        .or_else(|_| fs::rename(dir.join("layers"), dir.join("gone")))
        .unwrap();
    fs::create_dir(dir.join("layers")).unwrap();
    for entry in fs::read_dir(dir.join("blobs/sha256")).unwrap().flatten() {
        let mut bytes = fs::read(entry.path()).unwrap();
        let last = bytes.len() - 20;
        bytes[last] ^= 1;
        fs::write(entry.path(), bytes).unwrap();
    }
    borrow(&sandbox, &dir);
    let before = crate::hostile::listing(&dir);
    let outcome = sandbox.run(["run", "--rm", "--pull", "never", &reference, "cat", "/hello"]);
    outcome.code(125).stderr_contains("borrow image");
    sandbox.run(["pull", "-q", &reference]).success();
    sandbox.run(["run", "--rm", "--pull", "never", &reference, "cat", "/hello"]).stdout("hi\n").success();
    crate::check::clean(&sandbox);
    assert_eq!(crate::hostile::listing(&dir), before);
    assert_eq!(regular_files(sandbox.store().join("blobs/sha256")), blobs.layers.len() + 2);
}

fn a_store_that_cannot_be_read_is_passed_over() {
    let sandbox = Sandbox::new().busybox();
    let dir = lending(&sandbox);
    fs::write(dir.join("version"), "99\n").unwrap();
    let outcome = sandbox.run(["images", "--format", "{{.Repository}}"]);
    outcome.stdout("busybox\n").success().stderr_contains("it has format 99");
    sandbox.run(["info"]).success().stdout_contains("(not used: ");
    fs::write(sandbox.dir().join("config/coracle/config.toml"), "additional_stores = [\"lent\"]\n").unwrap();
    sandbox.run(["images"]).code(1).stderr_contains("it is not an absolute path");
    fs::remove_file(sandbox.dir().join("config/coracle/config.toml")).unwrap();
}
