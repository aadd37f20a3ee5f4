//! Bind mounts and volumes.

use std::os::unix::fs::MetadataExt;

use crate::support::harness::{Test, tests};
use crate::support::{Image, Layer, Meta, Need, Sandbox, host, needs};
use serde_json::json;

pub(crate) const TESTS: &[Test] = tests![
    binds_a_directory_of_the_host,
    files_made_inside_belong_to_the_caller,
    binds_read_only,
    makes_a_missing_source_for_v_and_not_for_mount,
    a_relative_or_empty_source_is_an_error,
    binds_a_single_file,
    a_named_volume_is_made_and_seeded,
    volumes_outlive_their_containers,
    nocopy_leaves_it_empty,
    mount_takes_all_kinds,
    the_images_volumes_are_anonymous,
    two_containers_share_a_volume,
    nothing_is_seen_of_the_hosts_mounts,
    a_mount_over_another_comes_in_order,
    a_link_inside_leads_nowhere_outside,
    volumes_are_made_listed_and_removed,
    a_directory_of_the_host_as_a_volume,
    a_directory_of_the_host_is_filled_in_place,
    one_empty_volume_at_two_places,
    a_volume_in_memory_is_shared_by_those_that_run,
    mounts_say_what_their_volume_is_to_be,
    an_image_is_mounted,
    what_is_mounted_is_not_removed,
    prune_takes_what_nothing_uses,
    container_prune_takes_what_is_stopped,
];

fn binds_a_directory_of_the_host() {
    let sandbox = Sandbox::new().busybox();
    let source = sandbox.directory("shared");
    sandbox.file("shared/in", "from the host\n");
    sandbox
        .run([
            "run",
            "--rm",
            "-v",
            &format!("{source}:/mnt"),
            "busybox",
            "sh",
            "-c",
            "cat /mnt/in; echo back > /mnt/out",
        ])
        .stdout("from the host\n")
        .success();
    assert_eq!(std::fs::read_to_string(sandbox.work().join("shared/out")).unwrap(), "back\n");
}

fn files_made_inside_belong_to_the_caller() {
    let sandbox = Sandbox::new().busybox();
    let source = sandbox.directory("shared");
    sandbox.run(["run", "--rm", "-v", &format!("{source}:/mnt"), "busybox", "touch", "/mnt/f"]).success();
    let meta = std::fs::metadata(sandbox.work().join("shared/f")).unwrap();
    assert_eq!((meta.uid(), meta.gid()), (host::user().uid, host::user().gid));
}

fn binds_read_only() {
    let sandbox = Sandbox::new().busybox();
    let source = sandbox.directory("shared");
    std::fs::create_dir(sandbox.work().join("shared/sub")).unwrap();
    for target in ["/mnt/f", "/mnt/sub/f"] {
        sandbox
            .run(["run", "--rm", "-v", &format!("{source}:/mnt:ro"), "busybox", "touch", target])
            .code(1)
            .stderr_contains("Read-only file system");
    }
    sandbox
        .run(["run", "--rm", "-v", &format!("{source}:/mnt:bogus"), "busybox", "true"])
        .code(125)
        .stderr_contains("invalid");
}

fn makes_a_missing_source_for_v_and_not_for_mount() {
    let sandbox = Sandbox::new().busybox();
    let missing = format!("{}/made/here", sandbox.work().display());
    let mount = format!("type=bind,source={missing},target=/mnt");
    sandbox
        .run(["run", "--rm", "--mount", &mount, "busybox", "true"])
        .code(125)
        .stderr_contains(&format!("bind source path does not exist: {missing}"));
    sandbox.run(["run", "--rm", "-v", &format!("{missing}:/mnt"), "busybox", "touch", "/mnt/f"]).success();
    assert!(std::path::Path::new(&missing).join("f").exists());
}

fn a_relative_or_empty_source_is_an_error() {
    let sandbox = Sandbox::new().busybox();
    sandbox.directory("rel");
    sandbox.run(["run", "--rm", "-v", "./rel:/mnt", "busybox", "touch", "/mnt/f"]).success();
    assert!(sandbox.work().join("rel/f").exists());
    sandbox
        .run(["run", "--rm", "-v", "rel/x:/mnt", "busybox", "true"])
        .code(125)
        .stderr_contains("includes invalid characters for a local volume name");
    sandbox.run(["run", "--rm", "-v", ":/mnt", "busybox", "true"]).code(125);
    sandbox
        .run(["run", "--rm", "-v", "vol:relative", "busybox", "true"])
        .code(125)
        .stderr_contains("invalid mount path: 'relative' mount path must be absolute");
}

fn binds_a_single_file() {
    let sandbox = Sandbox::new().busybox();
    let file = sandbox.file("one", "1\n");
    sandbox
        .run(["run", "--rm", "-v", &format!("{file}:/etc/passwd:ro"), "busybox", "cat", "/etc/passwd"])
        .stdout("1\n")
        .success();
}

fn a_named_volume_is_made_and_seeded() {
    needs(Need::Subids);
    let sandbox = Sandbox::new().image("img", |layer| {
        layer
            .dir_with("/data", &Meta::mode(0o750).owner(1000, 2000))
            .file_with("/data/seed", "seed\n", &Meta::mode(0o640).owner(1000, 1000))
            .dir("/data/sub")
            .symlink("/data/link", "seed")
    });
    let script = "stat -c '%a %u:%g' /data /data/seed; cat /data/link; echo more >> /data/seed; ls -A /data";
    sandbox
        .run(["run", "--rm", "-v", "vol:/data", "img", "sh", "-c", script])
        .stdout("750 1000:2000\n640 1000:1000\nseed\nlink\nseed\nsub\n")
        .success();
    // The second time it is what it was left as, and the image is what it was.
    sandbox
        .run(["run", "--rm", "-v", "vol:/data", "img", "cat", "/data/seed"])
        .stdout("seed\nmore\n")
        .success();
    sandbox.run(["run", "--rm", "img", "cat", "/data/seed"]).stdout("seed\n").success();
}

fn volumes_outlive_their_containers() {
    let sandbox = Sandbox::new().busybox();
    sandbox.run(["run", "--rm", "-v", "vol:/v", "busybox", "sh", "-c", "echo kept > /v/f"]).success();
    sandbox
        .run(["run", "--name", "cc", "-v", "vol:/v:ro", "busybox", "cat", "/v/f"])
        .stdout("kept\n")
        .success();
    sandbox.run(["rm", "-v", "cc"]).success();
    sandbox.run(["run", "--rm", "-v", "vol:/v", "busybox", "cat", "/v/f"]).stdout("kept\n").success();
}

fn nocopy_leaves_it_empty() {
    let sandbox = Sandbox::new().image("img", |layer| layer.file("/data/seed", "x"));
    sandbox.run(["run", "--rm", "-v", "vol:/data:nocopy", "img", "ls", "-A", "/data"]).stdout("").success();
}

fn mount_takes_all_kinds() {
    let sandbox = Sandbox::new().busybox();
    let source = sandbox.directory("shared");
    let bind = format!("type=bind,src={source},dst=/bind,readonly");
    sandbox
        .run([
            "run",
            "--rm",
            "--mount",
            &bind,
            "--mount",
            "source=vol,target=/vol",
            "--mount",
            "type=tmpfs,dst=/tmpfs,tmpfs-size=1m,tmpfs-mode=1750",
            "busybox",
            "sh",
            "-c",
            "touch /vol/f /tmpfs/f && stat -c %a /tmpfs && touch /bind/f",
        ])
        .stdout("1750\n")
        .stderr_contains("Read-only file system")
        .code(1);
    for (bad, text) in [
        ("type=nosuch,dst=/x", "nosuch"),
        ("type=bind,dst=/x", "field Source must not be empty"),
        ("type=volume,src=v", "target is required"),
        ("type=bind,src=/tmp,dst=/x,nosuch=1", "unexpected key 'nosuch'"),
    ] {
        let outcome = sandbox.run(["run", "--rm", "--mount", bad, "busybox", "true"]);
        outcome.code(125).stderr_contains(text);
    }
}

fn the_images_volumes_are_anonymous() {
    let image = Image::busybox()
        .layer(&Layer::new().file("/data/seed", "s\n"))
        .config("Volumes", json!({ "/data": {} }));
    let sandbox = Sandbox::new().with("img", &image);
    sandbox
        .run(["run", "--name", "cc", "img", "sh", "-c", "cat /data/seed; echo x > /data/new"])
        .stdout("s\n")
        .success();
    let name = sandbox.run(["inspect", "-f", "{{(index .Mounts 0).Name}}", "cc"]).success().text();
    assert!(name.len() == 64 && sandbox.store().join("volumes").join(&name).is_dir(), "{name}");
    sandbox.run(["rm", "-v", "cc"]).success();
    assert!(!sandbox.store().join("volumes").join(&name).exists());
}

fn two_containers_share_a_volume() {
    let sandbox = Sandbox::new().busybox();
    let script = "until test -f /v/go; do sleep 0.05; done; echo seen > /v/answer";
    sandbox.run(["run", "-d", "--name", "aa", "-v", "vol:/v", "busybox", "sh", "-c", script]).success();
    let script = "touch /v/go; until test -f /v/answer; do sleep 0.05; done; cat /v/answer";
    sandbox.run(["run", "--rm", "-v", "vol:/v", "busybox", "sh", "-c", script]).stdout("seen\n").success();
    sandbox.run(["wait", "aa"]).stdout("0\n").success();
}

fn nothing_is_seen_of_the_hosts_mounts() {
    let sandbox = Sandbox::new().busybox();
    let source = sandbox.directory("shared");
    sandbox
        .run(["run", "-d", "--name", "cc", "-v", &format!("{source}:/mnt"), "busybox", "sleep", "1000"])
        .success();
    sandbox.expect_no_mount();
    let mounts =
        sandbox.run(["exec", "cc", "cut", "-d", " ", "-f", "5", "/proc/self/mountinfo"]).success().lines();
    for expected in ["/", "/proc", "/dev", "/sys", "/mnt", "/dev/shm", "/dev/mqueue", "/etc/hosts"] {
        assert!(mounts.iter().any(|mount| mount == expected), "{expected} of {mounts:?}");
    }
    assert!(!mounts.iter().any(|mount| mount.contains("home") || mount.contains("old")), "{mounts:?}");
}

fn a_mount_over_another_comes_in_order() {
    let sandbox = Sandbox::new().busybox();
    let source = sandbox.directory("outer");
    sandbox.file("outer/f", "outer\n");
    let outer = format!("{source}:/a");
    sandbox
        .run([
            "run",
            "--rm",
            "--tmpfs",
            "/a/b",
            "-v",
            &outer,
            "-v",
            "vol:/a/b/c",
            "busybox",
            "sh",
            "-c",
            "cat /a/f; touch /a/b/c/deep; grep -c ' /a' /proc/mounts",
        ])
        .stdout("outer\n3\n")
        .success();
}

fn a_link_inside_leads_nowhere_outside() {
    let sandbox = Sandbox::new()
        .image("img", |layer| layer.symlink("/escape", "/../../../../tmp").symlink("/abs", "/root"));
    sandbox
        .run([
            "run",
            "--rm",
            "--tmpfs",
            "/abs/below",
            "img",
            "sh",
            "-c",
            "grep ' /root/below ' /proc/mounts | wc -l",
        ])
        .stdout("1\n")
        .success();
    let source = sandbox.directory("shared");
    let bind = format!("{source}:/escape/planted");
    sandbox.run(["run", "--rm", "-v", &bind, "img", "ls", "/tmp"]).stdout("planted\n").success();
    assert!(!std::path::Path::new("/tmp/planted").exists());
}

fn volumes_are_made_listed_and_removed() {
    let sandbox = Sandbox::new();
    sandbox.run(["volume", "create", "--label", "tier=db", "data"]).stdout("data\n").success();
    sandbox.run(["volume", "create", "data"]).stdout("data\n").success();
    sandbox.run(["volume", "create", "--name", "cache"]).stdout("cache\n").success();
    let anonymous = sandbox.run(["volume", "create"]).success().text();
    assert_eq!(anonymous.len(), 64);
    sandbox.run(["volume", "rm", &anonymous]).stdout(&format!("{anonymous}\n")).success();
    sandbox
        .run(["volume", "ls"])
        .stdout("DRIVER    VOLUME NAME\nlocal     cache\nlocal     data\n")
        .success();
    sandbox.run(["volume", "ls", "-q", "-f", "label=tier"]).stdout("data\n");
    sandbox.run(["volume", "ls", "-q", "-f", "name=ach"]).stdout("cache\n");
    sandbox.run(["volume", "ls", "--format", "{{.Name}}={{.Label \"tier\"}}"]).stdout("cache=\ndata=db\n");
    let shown = sandbox.run(["volume", "inspect", "data"]).success().json();
    assert_eq!(shown[0]["Labels"], serde_json::json!({"tier": "db"}));
    assert_eq!(shown[0]["Driver"], "local");
    let place = shown[0]["Mountpoint"].as_str().unwrap().to_owned();
    assert!(place.ends_with("/volumes/data/_data"), "{place}");
    sandbox.run(["inspect", "-f", "{{.Mountpoint}}", "data"]).stdout(&format!("{place}\n"));
    sandbox
        .run(["volume", "inspect", "nope"])
        .stdout("[]\n")
        .stderr("Error response from daemon: get nope: no such volume\n")
        .code(1);
    sandbox
        .run(["volume", "rm", "nope", "data"])
        .stdout("data\n")
        .stderr("Error response from daemon: get nope: no such volume\n")
        .code(1);
    sandbox.run(["volume", "rm", "-f", "nope"]).stdout("nope\n").success();
    sandbox.run(["volume", "create", "-d", "nfs", "x1"]).code(1);
    sandbox.run(["volume", "create", "../x"]).code(1);
}

fn a_directory_of_the_host_as_a_volume() {
    let sandbox = Sandbox::new().busybox();
    let device = format!("device={}", sandbox.directory("shared"));
    let file = sandbox.work().join("shared/file");
    sandbox.run(["volume", "create", "-o", "type=none", "-o", "o=bind", "-o", &device, "here"]).success();
    sandbox.run(["run", "--rm", "-v", "here:/v", "busybox", "sh", "-c", "echo kept >/v/file"]).success();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "kept\n");
    sandbox.run(["volume", "rm", "here"]).stdout("here\n").success();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "kept\n");
    sandbox
        .run(["volume", "create", "-o", "type=nfs", "-o", "device=:/x", "far"])
        .code(1)
        .stderr_contains("create far: option type=nfs, o=: the kernel lets nobody but root mount that");
    sandbox.run(["volume", "ls", "-q"]).stdout("");
    sandbox.run(["volume", "create", "-o", "type=none", "-o", "o=bind,ro", "-o", &device, "here"]).success();
    sandbox
        .run(["run", "--rm", "-v", "here:/v", "busybox", "touch", "/v/x"])
        .code(1)
        .stderr_contains("Read-only file system");
}

fn a_directory_of_the_host_is_filled_in_place() {
    let sandbox = Sandbox::new().image("img", |layer| layer.file("/data/seed", "s\n"));
    let shared = sandbox.directory("shared");
    let before = std::fs::metadata(&shared).unwrap().ino();
    let device = format!("device={shared}");
    sandbox.run(["volume", "create", "-o", "type=none", "-o", "o=bind", "-o", &device, "here"]).success();
    sandbox.run(["run", "--rm", "-v", "here:/data", "img", "cat", "/data/seed"]).stdout("s\n").success();
    assert_eq!(std::fs::read_to_string(format!("{shared}/seed")).unwrap(), "s\n");
    assert_eq!(std::fs::metadata(&shared).unwrap().ino(), before);
}

fn one_empty_volume_at_two_places() {
    let sandbox = Sandbox::new().image("img", |layer| layer.file("/data/seed", "s\n"));
    // The image has nothing at the first of them.
    sandbox
        .run(["run", "--rm", "-v", "v1:/a", "-v", "v1:/data", "img", "cat", "/a/seed", "/data/seed"])
        .stdout("s\ns\n")
        .success();
}

fn a_volume_in_memory_is_shared_by_those_that_run() {
    let sandbox = Sandbox::new().busybox();
    let options = ["-o", "type=tmpfs", "-o", "device=tmpfs", "-o", "o=size=1m,mode=750"];
    sandbox.run([&["volume", "create"][..], &options, &["mem"]].concat()).stdout("mem\n").success();
    let run = ["run", "-d", "--network", "none", "--name"];
    sandbox.run([&run[..], &["one", "-v", "mem:/one:ro", "busybox", "sleep", "1000"]].concat()).success();
    sandbox.run([&run[..], &["two", "-v", "mem:/two", "busybox", "sleep", "1000"]].concat()).success();
    sandbox.run(["exec", "two", "sh", "-c", "echo kept >/two/f"]).success();
    let seen = "cat /one/f; stat -c %a /one; df -k /one | awk 'END { print $2 }'; touch /one/x";
    sandbox
        .run(["exec", "one", "sh", "-c", seen])
        .stdout("kept\n750\n1024\n")
        .stderr_contains("Read-only file system");
    // As long as one of them runs it is there, and then it is new.
    sandbox.run(["rm", "-f", "one"]).success();
    sandbox.run(["run", "--rm", "-v", "mem:/m", "busybox", "cat", "/m/f"]).stdout("kept\n").success();
    sandbox.run(["restart", "-t", "0", "two"]).success();
    sandbox.run(["exec", "two", "ls", "/two"]).stdout("").success();
    sandbox
        .run(["run", "--rm", "-v", "mem:/a", "-v", "mem:/b", "busybox", "true"])
        .code(125)
        .stderr_contains(
            "volume mem is in memory, and as such mounted whole and at one place of a container",
        );
    sandbox
        .run(["volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs", "-o", "o=sise=1", "bad"])
        .code(1)
        .stderr_contains("create bad: option o=sise=1: a tmpfs has no such option");
}

fn mounts_say_what_their_volume_is_to_be() {
    let sandbox = Sandbox::new().busybox();
    let mount = "type=volume,src=made,dst=/v,volume-label=a=b,volume-label=c,volume-driver=local,\
                 volume-opt=type=tmpfs,volume-opt=device=tmpfs,\"volume-opt=o=size=2m,mode=700\"";
    let script = "stat -c %a /v; df -k /v | awk 'END { print $2 }'";
    let run = |mount: &str| sandbox.run(["run", "--rm", "--mount", mount, "busybox", "sh", "-c", script]);
    run(mount).stdout("700\n2048\n").success();
    let inspect = ["volume", "inspect", "-f", "{{json .Labels}} {{json .Options}}", "made"];
    let told =
        "{\"a\":\"b\",\"c\":\"\"} {\"device\":\"tmpfs\",\"o\":\"size=2m,mode=700\",\"type\":\"tmpfs\"}\n";
    sandbox.run(inspect).stdout(told);
    // One that is there stays what it is.
    run("src=made,dst=/v,volume-label=x=y").stdout("700\n2048\n").success();
    sandbox.run(inspect).stdout(told);
    sandbox
        .run(["create", "--name", "cc", "--mount", "dst=/v,volume-label=k=v", "busybox", "true"])
        .success();
    let name = sandbox.run(["inspect", "-f", "{{(index .Mounts 0).Name}}", "cc"]).text();
    sandbox
        .run(["volume", "inspect", "-f", "{{json .Labels}}", &name])
        .stdout("{\"com.docker.volume.anonymous\":\"\",\"k\":\"v\"}\n");
    run("src=far,dst=/v,volume-driver=nfs")
        .code(125)
        .stderr_contains("error looking up volume plugin nfs: plugin \"nfs\" not found");
    run("type=bind,src=/tmp,dst=/v,volume-label=a=b")
        .code(125)
        .stderr_contains("cannot mix 'volume-*' options with mount type 'bind'");
    run("type=bind,src=/tmp,dst=/v,bind-recursive=readonly").code(125).stderr_contains(
        "option 'bind-recursive=readonly' requires 'readonly' to be specified in conjunction",
    );
}

fn an_image_is_mounted() {
    let two = Image::scratch()
        .layer(
            &Layer::new()
                .file("/opt/tool/name", "old\n")
                .file("/opt/tool/gone", "x\n")
                .symlink("/link", "opt/tool"),
        )
        .layer(
            &Layer::new().file("/opt/tool/name", "new\n").whiteout("/opt/tool/gone").symlink("/out", "/etc"),
        );
    let sandbox = Sandbox::new().busybox().with("two", &two).image("one", |layer| layer.file("/f", "only\n"));
    let run = |mounts: &[&str], script: &str| {
        let mut words = vec!["run", "--rm", "--network", "none"];
        for mount in mounts {
            words.extend(["--mount", mount]);
        }
        words.extend(["busybox", "sh", "-c", script]);
        sandbox.run(words)
    };
    let script = "cd /two/opt/tool; cat name; ls; touch name";
    run(&["type=image,src=two,dst=/two"], script)
        .code(1)
        .stdout("new\nname\n")
        .stderr_contains("Read-only file system");
    run(&["type=image,source=one,target=/one,readonly"], "cat /one/f; rm /one/f")
        .code(1)
        .stdout("only\n")
        .stderr_contains("Read-only file system");
    // What is in it may be a directory, a file or a link, which leads nowhere outside.
    let parts = [
        "type=image,src=two,dst=/a,image-subpath=opt/tool",
        "type=image,src=two,dst=/b,image-subpath=opt/tool/name",
        "type=image,src=two,dst=/c,image-subpath=link",
    ];
    run(&parts, "cat /a/name /b /c/name").stdout("new\nnew\nnew\n").success();
    run(&["type=image,src=two,dst=/a,image-subpath=out/passwd"], "true")
        .code(125)
        .stderr_contains("find out/passwd in the image");
    for (bad, text) in [
        ("type=image,src=two,dst=/a,image-subpath=../x", "subpath must be a relative path within the image"),
        ("type=image,dst=/a", "field Source must not be empty"),
        ("type=bind,src=/tmp,dst=/a,image-subpath=x", "cannot mix 'image-*' options with mount type 'bind'"),
    ] {
        run(&[bad], "true").code(125).stderr_contains(text);
    }
    // It stays for as long as a container mounts it, which stands in the way of its removal.
    let id = sandbox
        .run([
            "create",
            "--name",
            "cc",
            "--mount",
            "type=image,src=two,dst=/two",
            "busybox",
            "cat",
            "/two/opt/tool/name",
        ])
        .text();
    let image = sandbox.run(["images", "-q", "two"]).text();
    sandbox
        .run(["rmi", &image])
        .code(1)
        .stderr_contains(&format!("image is being used by stopped container {}", &id[..12]));
    sandbox.run(["image", "prune", "-af"]).success();
    sandbox.run(["images", "-q", "two"]).stdout(&format!("{image}\n"));
    sandbox.run(["rmi", "-f", "two"]).success();
    sandbox.run(["image", "prune", "-af"]).success();
    sandbox.run(["start", "-a", "cc"]).stdout("new\n").success();
    sandbox.run(["cp", "cc:/two/opt/tool/name", "-"]).success().stdout_contains("new\n");
    let mounts = sandbox.run(["inspect", "-f", "{{json .Mounts}}", "cc"]).json();
    assert_eq!(
        (&mounts[0]["Type"], &mounts[0]["Source"], &mounts[0]["RW"]),
        (&json!("image"), &json!("two"), &json!(false))
    );
}

fn what_is_mounted_is_not_removed() {
    let sandbox = Sandbox::new().busybox();
    let id = sandbox.run(["create", "-v", "used:/v", "busybox", "true"]).success().text();
    sandbox
        .run(["volume", "rm", "used"])
        .stderr(&format!("Error response from daemon: remove used: volume is in use - [{id}]\n"))
        .code(1);
    sandbox.run(["volume", "prune", "-a", "-f"]).stdout("Total reclaimed space: 0B\n").success();
    sandbox.run(["volume", "ls", "-q", "-f", "dangling=true"]).stdout("");
    sandbox.run(["rm", &id]).success();
    sandbox.run(["volume", "ls", "-q", "-f", "dangling=true"]).stdout("used\n");
    sandbox.run(["volume", "rm", "used"]).stdout("used\n").success();
}

fn prune_takes_what_nothing_uses() {
    let sandbox = Sandbox::new().busybox();
    sandbox.run(["volume", "create", "named"]).success();
    let anonymous = sandbox.run(["volume", "create"]).success().text();
    sandbox.run(["run", "--rm", "-v", "named:/v", "busybox", "sh", "-c", "echo 12345 >/v/f"]).success();
    sandbox
        .run(["volume", "prune"])
        .stdout(
            "WARNING! This will remove anonymous local volumes not used by at least one container.\n\
             Are you sure you want to continue? [y/N] ",
        )
        .success();
    sandbox
        .run(["volume", "prune", "-f"])
        .stdout(&format!("Deleted Volumes:\n{anonymous}\n\nTotal reclaimed space: 0B\n"))
        .success();
    sandbox
        .run(["volume", "prune", "-f", "--all"])
        .stdout("Deleted Volumes:\nnamed\n\nTotal reclaimed space: 6B\n")
        .success();
}

fn container_prune_takes_what_is_stopped() {
    let sandbox = Sandbox::new().busybox();
    let done = sandbox.run(["create", "--label", "a=1", "busybox", "true"]).success().text();
    sandbox.run(["run", "-d", "--name", "runs", "busybox", "sleep", "1000"]).success();
    sandbox
        .run(["container", "prune", "-f", "--filter", "label=b"])
        .stdout("Total reclaimed space: 0B\n")
        .success();
    sandbox
        .run(["container", "prune", "-f"])
        .stdout(&format!("Deleted Containers:\n{done}\n\nTotal reclaimed space: 0B\n"))
        .success();
    assert_eq!(sandbox.status_of("runs"), "running");
    sandbox.run(["rm", "-f", "runs"]).success();
}
