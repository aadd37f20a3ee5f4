//! `diff`: what a container has changed, as Docker tells it.

use crate::support::harness::{Test, tests};
use crate::support::{Layer, Meta, Sandbox};

pub(crate) const TESTS: &[Test] = tests![
    tells_what_changed,
    leaves_out_what_every_container_has,
    refuses_what_there_is_not,
    looks_through_many_layers,
];

const SCRIPT: &str = "echo new > /d/new; echo more >> /d/changed; rm /d/gone; rm -r /dir; mkdir /dir2; touch /dir2/x; \
    chmod 700 /mode; touch /same/x; rm /same/x; mv /d/moved /tmp/moved; rm -r /again; mkdir /again; touch /again/y; \
    ln -s x /link; rm /file; mkdir /file; touch /file/in; echo done; exec sleep 1000";

fn layer(layer: Layer) -> Layer {
    let layer = ["/d/changed", "/d/gone", "/d/moved", "/d/kept", "/dir/a/b", "/again/x", "/file"]
        .iter()
        .fold(layer, |layer, name| layer.file(name, *name));
    layer.dir_with("/mode", &Meta::mode(0o755)).dir("/same").dir("/tmp")
}

const EXPECTED: &str = "C /again\nD /again/x\nA /again/y\nC /d\nC /d/changed\nD /d/gone\nD /d/moved\nA /d/new\n\
    D /dir\nA /dir2\nA /dir2/x\nC /file\nA /file/in\nA /link\nC /mode\nC /tmp\nA /tmp/moved\n";

fn tells_what_changed() {
    let sandbox = Sandbox::new().image("busybox", layer);
    sandbox.run(["run", "-d", "--name", "cc", "busybox", "sh", "-c", SCRIPT]).success();
    sandbox.wait_for_log("cc", "done");
    sandbox.run(["diff", "cc"]).stdout(EXPECTED).stderr("").success();
    sandbox.run(["kill", "cc"]).success();
    sandbox.run(["container", "diff", "cc"]).stdout(EXPECTED).success();
}

fn leaves_out_what_every_container_has() {
    let sandbox = Sandbox::new().image("busybox", |layer| layer);
    let words =
        ["run", "--name", "cc", "-v", "vol:/vol", "-w", "/work", "--tmpfs", "/mem", "busybox", "true"];
    sandbox.run(words).success();
    sandbox.run(["diff", "cc"]).stdout("A /mem\nA /vol\nA /work\n").success();
    sandbox.run(["create", "--name", "never", "busybox"]).success();
    sandbox.run(["diff", "never"]).stdout("").success();
}

fn refuses_what_there_is_not() {
    let sandbox = Sandbox::new();
    sandbox.run(["diff", "no"]).code(1).stderr("Error response from daemon: No such container: no\n");
    sandbox.run(["diff"]).code(1).stderr_contains("requires 1 argument");
}

fn looks_through_many_layers() {
    let image = crate::support::Image::busybox()
        .layer(&Layer::new().file("/a/one", "1").file("/b/two", "2").file("/c", "3"))
        .layer(&Layer::new().whiteout("/a/one").opaque("/b").file("/b/three", "3"))
        .layer(&Layer::new().whiteout("/c"));
    let sandbox = Sandbox::new().with("layers", &image);
    let script = "touch /a/one /b/two /c; rm /b/three; echo x >/a/x";
    sandbox.run(["run", "--name", "cc", "layers", "sh", "-c", script]).success();
    // What upper layers hide is new when it is made again.
    let expected = "C /a\nA /a/one\nA /a/x\nC /b\nD /b/three\nA /b/two\nA /c\n";
    sandbox.run(["diff", "cc"]).stdout(expected).success();
}
