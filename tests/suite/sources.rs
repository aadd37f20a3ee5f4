//! Where the files of a build come from: repositories, archives, addresses, named contexts; and where what was built
//! goes to: registries, as images of several platforms and as caches.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::support::harness::{Test, tests};
use crate::support::registry::Registry;
use crate::support::{Sandbox, wait_until};

pub(crate) const TESTS: &[Test] = tests![
    builds_from_repositories,
    builds_from_archives_and_addresses,
    takes_named_contexts,
    sends_images_with_what_is_said_of_them,
    caches_in_a_registry,
    lends_agents,
    bakes_compose_files_side_by_side,
];

const NET: [&str; 3] = ["build", "--network", "none"];
const DOCKERFILE: &str = "FROM busybox\nCOPY . /c\nRUN test ! -e /c/.git\nCMD [\"cat\", \"/c/f\"]\n";

fn build(sandbox: &Sandbox, words: &[&str]) -> String {
    sandbox.run(NET.iter().chain(&["-q"]).chain(words)).success().text()
}

fn fails(sandbox: &Sandbox, words: &[&str], why: &str) {
    sandbox.run(NET.iter().chain(words)).code(1).stderr_contains(why);
}

/// A `git daemon` on a port of its own; it ends when dropped.
struct Daemon {
    child: Child,
    address: String,
}

impl Daemon {
    fn start(dir: &str) -> Self {
        // A port that is free now; nobody else of the suite asks for one by number.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new("git")
            .args(["daemon", "--reuseaddr", "--export-all", "--listen=127.0.0.1"])
            .args([format!("--port={port}"), format!("--base-path={dir}"), dir.to_owned()])
            .args(["--enable=upload-pack"])
            .env("GIT_CONFIG_COUNT", "1")
            .env("GIT_CONFIG_KEY_0", "safe.directory")
            .env("GIT_CONFIG_VALUE_0", "*")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        wait_until("git daemon listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        Self { child, address: format!("git://127.0.0.1:{port}") }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // What does the work is a child of `git`.
        let group = nix::unistd::Pid::from_raw(self.child.id().cast_signed());
        let _ = nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

/// Makes a repository with a tag, a branch and a directory; returns the commit of the branch.
fn repository(dir: &str) -> String {
    let git = |words: &[&str]| {
        let output = Command::new("git")
            .args(["-C", dir, "-c", "user.name=a", "-c", "user.email=a@b", "-c", "safe.directory=*"])
            .args(words)
            .output()
            .unwrap();
        assert!(output.status.success(), "git {words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    git(&["init", "-q", "-b", "main"]);
    fs::create_dir(Path::new(dir).join("sub")).unwrap();
    for (name, content) in
        [("f", "one"), ("sub/f", "below"), ("Dockerfile", DOCKERFILE), ("sub/Dockerfile", DOCKERFILE)]
    {
        fs::write(Path::new(dir).join(name), content).unwrap();
    }
    git(&["add", "."]);
    git(&["commit", "-q", "-m", "first"]);
    git(&["tag", "v1"]);
    git(&["checkout", "-q", "-b", "next"]);
    fs::write(Path::new(dir).join("f"), "two").unwrap();
    git(&["commit", "-q", "-a", "-m", "second"]);
    let commit = git(&["rev-parse", "HEAD"]);
    git(&["checkout", "-q", "main"]);
    commit
}

fn builds_from_repositories() {
    let sandbox = Sandbox::new().busybox();
    let directory = sandbox.directory("served");
    fs::create_dir(format!("{directory}/it")).unwrap();
    let commit = repository(&format!("{directory}/it"));
    let daemon = Daemon::start(&directory);
    let address = format!("{}/it", daemon.address);
    for (fragment, said) in
        [("", "one"), ("#next", "two"), ("#v1:sub", "below"), (&*format!("#{commit}"), "two")]
    {
        build(&sandbox, &["-t", "made", &format!("{address}{fragment}")]);
        sandbox.run(["run", "--rm", "--network", "none", "made"]).stdout(said);
    }
    fails(&sandbox, &[&format!("{address}#nothing")], "nothing");
    fails(&sandbox, &[&format!("{address}#:nothing")], "nothing");
    let dockerfile = format!(
        "FROM busybox\nADD {address}#next /plain\nADD --keep-git-dir=true {address}#v1 /kept\n\
         ADD --checksum={commit} {address}#next:sub /below\n\
         RUN test ! -e /plain/.git && test -d /kept/.git && cat /plain/f /kept/f /below/f > /all\nCMD [\"cat\", \"/all\"]\n"
    );
    let file = sandbox.file("Dockerfile", &dockerfile);
    let empty = sandbox.directory("empty");
    build(&sandbox, &["-t", "made", "-f", &file, &empty]);
    sandbox.run(["run", "--rm", "--network", "none", "made"]).stdout("twoonebelow");
    let wrong = sandbox.file("Wrong", format!("FROM busybox\nADD --checksum={commit} {address}#main /x\n"));
    fails(&sandbox, &["-f", &wrong, &empty], "expected checksum to match");
    let named = sandbox.file("Named", "FROM busybox\nCOPY --from=code f /f\nCMD [\"cat\", \"/f\"]\n");
    build(
        &sandbox,
        &["-t", "made", "-f", &named, "--build-context", &format!("code={address}#next"), &empty],
    );
    sandbox.run(["run", "--rm", "--network", "none", "made"]).stdout("two");
}

/// Answers every request for a file with the file, for as long as the test runs.
fn serve(files: Vec<(&'static str, Vec<u8>)>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|count| count == 1) {
                head.extend(byte);
            }
            let head = String::from_utf8_lossy(&head).into_owned();
            let path = head.split(' ').nth(1).unwrap_or_default().trim_start_matches('/').to_owned();
            let found = files.iter().find(|(name, _)| *name == path);
            let (status, body): (&str, &[u8]) = match found {
                Some((_, body)) => ("200 OK", body),
                None => ("404 Not Found", b""),
            };
            let _ = write!(
                stream,
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all(body);
        }
    });
    address
}

fn archive(dockerfile: &str) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in [("Dockerfile", dockerfile), ("f", "packed")] {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, content.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap()
}

fn builds_from_archives_and_addresses() {
    let sandbox = Sandbox::new().busybox();
    let plain = archive(DOCKERFILE);
    let mut bzip = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    bzip.write_all(&plain).unwrap();
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
    xz.write_all(&plain).unwrap();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain).unwrap();
    let archives = vec![
        ("c.tar", plain.clone()),
        ("c.tar.gz", gzip.finish().unwrap()),
        ("c.tar.bz2", bzip.finish().unwrap()),
        ("c.tar.xz", xz.finish().unwrap()),
        ("c.tar.zst", zstd::encode_all(plain.as_slice(), 1).unwrap()),
    ];
    let mut served = archives.clone();
    served.push(("Dockerfile.alone", b"FROM busybox\nCMD [\"echo\", \"alone\"]\n".to_vec()));
    let address = serve(served);
    let mut ids = Vec::new();
    for (name, bytes) in &archives {
        let words = NET.iter().chain(&["-q", "-t", "made", "-"]);
        ids.push(sandbox.command(words).stdin(bytes.clone()).run().success().text());
        ids.push(build(&sandbox, &["-t", "made", &format!("{address}/{name}")]));
    }
    // The same files, so the same image.
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    sandbox.run(["run", "--rm", "--network", "none", "made"]).stdout("packed");
    build(&sandbox, &["-t", "made", &format!("{address}/Dockerfile.alone")]);
    sandbox.run(["run", "--rm", "--network", "none", "made"]).stdout("alone\n");
    fails(&sandbox, &[&format!("{address}/nothing")], "not found");
    let context = sandbox.directory("context");
    for (name, bytes) in &archives {
        fs::write(format!("{context}/{name}"), bytes).unwrap();
    }
    let adds: Vec<String> = archives.iter().map(|(name, _)| format!("ADD {name} /{name}/")).collect();
    let adds = adds.join("\n");
    let dockerfile = format!(
        "FROM busybox\n{adds}\nADD --unpack=false c.tar.xz /whole/\nADD {address}/c.tar /fetched/\n\
         ADD --unpack=true {address}/c.tar.gz /unpacked\n\
         RUN cat /c.tar*/f /unpacked/f > /all && test -f /whole/c.tar.xz && test -f /fetched/c.tar\nCMD [\"cat\", \"/all\"]\n"
    );
    fs::write(format!("{context}/Dockerfile"), dockerfile).unwrap();
    build(&sandbox, &["-t", "made", &context]);
    sandbox.run(["run", "--rm", "--network", "none", "made"]).stdout(&"packed".repeat(6));
    let wrong = format!("FROM busybox\nADD --checksum=sha256:{} {address}/c.tar /x\n", "0".repeat(64));
    sandbox.command(NET.iter().chain(&["-"])).stdin(wrong).run().code(1).stderr_contains("digest mismatch");
}

fn takes_named_contexts() {
    let sandbox = Sandbox::new().busybox().image("one", |layer| layer.file("/said", "one"));
    let sandbox = sandbox.image("two", |layer| layer.file("/said", "two"));
    let layout = sandbox.directory("layout");
    sandbox.run(["tag", "two", "two:b"]).success();
    sandbox.run(["save", "--format", "oci-dir", "-o", &layout, "one", "two:b"]).success();
    let context = sandbox.directory("context");
    fs::write(
        format!("{context}/Dockerfile"),
        "FROM busybox\nCOPY --from=it said /\nCMD [\"cat\", \"/said\"]\n",
    )
    .unwrap();
    let other = sandbox.directory("other");
    fs::write(format!("{other}/said"), "other").unwrap();
    let index: serde_json::Value =
        serde_json::from_slice(&fs::read(format!("{layout}/index.json")).unwrap()).unwrap();
    let digest = |at: usize| index["manifests"][at]["digest"].as_str().unwrap().to_owned();
    for (what, said) in [
        (other.clone(), "other"),
        ("docker-image://two".to_owned(), "two"),
        (format!("oci-layout://{layout}:b"), "two"),
        (format!("oci-layout://{layout}@{}", digest(0)), "one"),
        (format!("oci-layout://{layout}@{}", digest(1)), "two"),
    ] {
        build(&sandbox, &["-t", "made", "--build-context", &format!("it={what}"), &context]);
        sandbox.run(["run", "--rm", "--network", "none", "made"]).stdout(said);
    }
    let absent = format!("it=oci-layout://{layout}@sha256:{}", "0".repeat(64));
    fails(&sandbox, &["--build-context", &absent, &context], "is not in the layout");
    let absent = format!("it=oci-layout://{layout}:three");
    fails(&sandbox, &["--build-context", &absent, &context], "is not in the layout");
}

fn sends_images_with_what_is_said_of_them() {
    let sandbox = Sandbox::new().busybox();
    let registry = Registry::start();
    let (one, two) = (format!("{}/a/one:1", registry.host()), format!("{}/two", registry.host()));
    let context = sandbox.directory("context");
    fs::write(
        format!("{context}/Dockerfile"),
        "FROM scratch\nARG TARGETARCH\nCOPY Dockerfile /$TARGETARCH\n",
    )
    .unwrap();
    let metadata = format!("{context}/../metadata");
    let platforms = ["--platform", "linux/amd64,linux/arm64", "--metadata-file", &metadata];
    let said = ["--annotation", "index,manifest:k=v", "--provenance", "true", "--push"];
    let names = ["-t", &one, "-t", &two, &context];
    build(&sandbox, &[&platforms[..], &said, &names].concat());
    let metadata: serde_json::Value = serde_json::from_slice(&fs::read(metadata).unwrap()).unwrap();
    let shown = sandbox.run(["buildx", "imagetools", "inspect", "--raw", &one]).success().json();
    let other = sandbox.run(["buildx", "imagetools", "inspect", "--raw", &two]).success().json();
    assert_eq!(shown, other);
    assert_eq!(metadata["image.name"], format!("{one},{two}:latest"));
    assert_eq!(shown["annotations"]["k"], "v");
    let listed = shown["manifests"].as_array().unwrap();
    let platforms: Vec<_> =
        listed.iter().map(|it| it["platform"]["architecture"].as_str().unwrap()).collect();
    assert_eq!(platforms, ["amd64", "arm64", "unknown", "unknown"]);
    for at in [0, 1] {
        assert_eq!(listed[at + 2]["annotations"]["vnd.docker.reference.digest"], listed[at]["digest"]);
    }
    let provenance = sandbox
        .run(["buildx", "imagetools", "inspect", "--format", "{{json .Provenance}}", &one])
        .success()
        .json();
    let of = &provenance["linux/amd64"]["SLSA"];
    assert_eq!(of["buildType"], "https://mobyproject.org/buildkit@v1", "{provenance}");
    // What the index says stays with it.
    sandbox.run(["image", "prune", "-f"]).success();
    sandbox.run(["push", "-q", &one]).success();
    fails(&sandbox, &["--annotation", "index:a=b", &context], "index annotations not supported");
    fails(&sandbox, &["--push", &context], "tag is needed when pushing to registry");
}

fn caches_in_a_registry() {
    let registry = Registry::start();
    let dockerfile = "FROM busybox AS one\nRUN cat /proc/sys/kernel/random/uuid > /made; touch /more\n\
        FROM busybox\nCOPY --from=one /made /\nRUN cat /made > /again\n";
    let (here, there) = (Sandbox::new().busybox(), Sandbox::new().busybox());
    let context = here.directory("context");
    fs::write(format!("{context}/Dockerfile"), dockerfile).unwrap();
    let name = |tag: &str| format!("{}/cache:{tag}", registry.host());
    let to = |mode: &str| format!("type=registry,ref={},mode={mode}", name(mode));
    let first = build(&here, &["--cache-to", &to("max"), "--cache-to", &to("min"), &context]);
    let from = format!("type=registry,ref={}", name("max"));
    assert_eq!(build(&there, &["--cache-from", &from, &context]), first);
    // Nothing of it shows as an image.
    for sandbox in [&here, &there] {
        sandbox.run(["images", "--format", "{{.Repository}}"]).success().stdout_lacks("cache");
        sandbox.run(["system", "check"]).success();
    }
    // Without the first stage's result, its command runs again.
    let third = Sandbox::new().busybox();
    let from = format!("type=registry,ref={}", name("min"));
    assert_ne!(build(&third, &["--cache-from", &from, &context]), first);
    let absent = format!("type=registry,ref={}", name("absent"));
    build(&third, &["--cache-from", &absent, &context]);
    let closed = "type=registry,ref=127.0.0.1:1/cache";
    fails(&third, &["--cache-to", closed, &context], "connection refused");
    build(&third, &["--cache-to", &format!("{closed},ignore-error=true"), &context]);
    fails(
        &third,
        &["-t", &name("x"), "--cache-to", &format!("type=registry,ref={}", name("x")), &context],
        "an image and a cache",
    );
}

fn lends_agents() {
    let sandbox = Sandbox::new().busybox();
    let socket = sandbox.work().join("agent");
    let _listening = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let dockerfile = "FROM busybox\nRUN --mount=type=ssh test -S \"$SSH_AUTH_SOCK\"\n\
        RUN test -z \"$SSH_AUTH_SOCK\"\nRUN --mount=type=ssh,id=other,target=/a test \"$SSH_AUTH_SOCK\" = /a\n";
    let ssh = |id: &str| format!("--ssh={id}={}", socket.display());
    let words = [ssh("default"), ssh("other"), "-".to_owned()];
    sandbox.command(NET.map(str::to_owned).into_iter().chain(words)).stdin(dockerfile).run().success();
    let required = "FROM busybox\nRUN --mount=type=ssh,required true\n";
    let refused = sandbox.command(NET.iter().chain(&["-"])).stdin(required).run();
    refused.code(1).stderr_contains("unset ssh forward key default");
}

fn bakes_compose_files_side_by_side() {
    let sandbox = Sandbox::new().busybox();
    let directory = sandbox.directory("project");
    // Each waits for the other: only at the same time do both end.
    let waits = |own: &str, other: &str| {
        format!(
            "FROM busybox\nRUN --network=none --mount=type=cache,id=both,target=/both \
             touch /both/{own}; i=0; while test ! -e /both/{other}; do i=$$((i+1)); test $$i -lt 600 || exit 9; \
             sleep 0.05; done; echo {own} > /said\nCMD [\"cat\", \"/said\"]\n"
        )
    };
    let compose = serde_json::json!({
        "services": {
            "one.x": { "build": { "context": ".", "dockerfile_inline": waits("one", "two") }, "image": "one:${TAG:-1}" },
            "two": { "build": { "context": ".", "dockerfile_inline": waits("two", "one"), "tags": ["two:a"],
                "x-bake": { "tags": ["two:b"] } }, "profiles": ["p"] },
            "top": { "build": { "context": ".", "dockerfile_inline": "FROM under\nRUN --network=none echo top >> /said\n",
                "additional_contexts": { "under": "service:two" } }, "image": "top" },
            "none": { "image": "busybox" },
        }
    });
    fs::write(format!("{directory}/compose.yaml"), compose.to_string()).unwrap();
    let bake = |words: &str| {
        sandbox.command([format!("cd {directory} && TAG=7 exec \"$0\" buildx bake {words}")]).shell().run()
    };
    let printed = bake("--print one_x --set '*.args.A=1'").success().json();
    let target = &printed["target"]["one_x"];
    assert_eq!((&target["tags"][0], &target["args"]["A"]), (&"one:7".into(), &"1".into()));
    assert_eq!(printed["group"]["default"]["targets"][0], "one_x");
    bake("--set nothing.tags=x").code(1).stderr_contains("could not find any target matching 'nothing'");
    bake("--metadata-file told").success().stderr_contains("[one_x] ");
    sandbox.run(["run", "--rm", "--network", "none", "one:7"]).stdout("one\n");
    sandbox.run(["run", "--rm", "--network", "none", "two:b"]).stdout("two\n");
    sandbox.run(["run", "--rm", "--network", "none", "top"]).stdout("two\ntop\n");
    let told: serde_json::Value =
        serde_json::from_slice(&fs::read(format!("{directory}/told")).unwrap()).unwrap();
    assert_eq!(told.as_object().unwrap().len(), 3);
    let hcl = "variable \"TAG\" { default = \"1\" }\ntarget \"default\" {\n  dockerfile-inline = \"FROM two:b\"\n  \
        tags = [\"hcl:${TAG}\"]\n}\n";
    fs::write(format!("{directory}/docker-bake.hcl"), hcl).unwrap();
    bake("-f docker-bake.hcl").success();
    sandbox.run(["run", "--rm", "--network", "none", "hcl:7"]).stdout("two\n");
    // One that fails ends the others, and says so.
    let broken = "target \"a\" { dockerfile-inline = \"FROM busybox\\nRUN --network=none exit 3\" }\n\
        target \"b\" { dockerfile-inline = \"FROM busybox\\nRUN --network=none sleep 600\" }\n";
    fs::write(format!("{directory}/broken.hcl"), broken).unwrap();
    bake("-f broken.hcl a b").code(1).stderr_contains("exit code: 3");
}
