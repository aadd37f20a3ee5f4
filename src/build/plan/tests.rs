//! Graphs, configurations and histories as BuildKit has them for the same file.

use super::*;
use crate::build::graph::{MountKind, Unpack};
use crate::image::{Defaults, History};

/// Returns an image with a shell of its own, an environment and a trigger if its name says so.
fn image(reference: &Reference, platform: &Platform) -> anyhow::Result<Resolved> {
    if reference.path().contains("missing") {
        anyhow::bail!("{reference}: not found");
    }
    let digest = |byte: &str| format!("sha256:{}", byte.repeat(32)).parse::<Digest>().unwrap();
    let triggers = ["RUN echo $A".to_owned(), "COPY --from=tools /t /t".to_owned()];
    let on_build = if reference.path().contains("trigger") { triggers.to_vec() } else { Vec::new() };
    let config = Configuration {
        created: Some("2020-01-01T00:00:00Z".to_owned()),
        os: platform.os.clone(),
        architecture: platform.architecture.clone(),
        variant: platform.variant.clone(),
        config: Defaults {
            env: vec!["PATH=/bin".to_owned(), "BASE=1".to_owned()],
            cmd: Some(vec!["sh".to_owned()]),
            working_dir: "/srv".to_owned(),
            on_build,
            ..Defaults::default()
        },
        history: vec![History { created_by: "base".to_owned(), ..History::default() }],
        ..Configuration::default()
    };
    let base = Base { reference: reference.clone(), id: digest("aa"), layers: vec![digest("bb")] };
    Ok(Resolved { base, config, manifest: None })
}

type Warnings = Vec<(&'static str, String)>;

#[derive(Default)]
struct Ask<'a> {
    target: Option<&'a str>,
    arguments: &'a [(&'a str, &'a str)],
    platforms: &'a [&'a str],
    contexts: Vec<(&'a str, Named)>,
    ignore: &'a [&'a str],
    fresh: Fresh,
    all_stages: bool,
}

fn ask(source: &str, ask: &Ask<'_>) -> Result<(Plan, Warnings), Fault> {
    let lint = Lint::default();
    let own = |pair: &(&str, &str)| (pair.0.to_owned(), pair.1.to_owned());
    let platforms: Vec<Platform> = ask.platforms.iter().map(|text| text.parse().unwrap()).collect();
    let plan = plan(&Request {
        source,
        target: ask.target,
        arguments: &ask.arguments.iter().map(own).collect(),
        platforms: &platforms,
        host: "linux/amd64".parse().unwrap(),
        contexts: &ask.contexts.iter().map(|(name, named)| ((*name).to_owned(), named.clone())).collect(),
        labels: &[("given".to_owned(), "yes".to_owned())].into(),
        fresh: &ask.fresh,
        network: Network::Default,
        insecure: false,
        ignore: &Ignore::new(ask.ignore).unwrap(),
        all_stages: ask.all_stages,
        lint: &lint,
        resolve: &image,
    })?;
    Ok((plan, lint.warnings().into_iter().map(|w| (w.rule.name, w.message)).collect()))
}

fn names(plan: &Plan) -> Vec<&str> {
    plan.graph.steps.iter().map(|step| step.name.as_str()).collect()
}

fn history(plan: &Plan) -> Vec<(&str, bool)> {
    let history = plan.graph.targets[0].config.history.iter();
    history.map(|entry| (entry.created_by.as_str(), entry.empty_layer)).collect()
}

#[test]
fn writes_what_buildkit_writes() {
    let source = "FROM debian\nARG V=1\nENV A=x\nENV B=\"$A y\"\nWORKDIR app\nCOPY --chown=1:2 a* b ./\nRUN make $V\n\
                  EXPOSE 443 80-81/UDP\nVOLUME /data\nUSER app\nSTOPSIGNAL SIGINT\nSHELL [\"/bin/bash\", \"-c\"]\n\
                  HEALTHCHECK --interval=90s CMD true\nLABEL k=v\nONBUILD RUN x\nENTRYPOINT [\"/app/run\"]\nCMD a \"b\"\n";
    let (plan, _) = ask(source, &Ask::default()).unwrap();
    assert_eq!(
        names(&plan),
        [
            "[1/4] FROM docker.io/library/debian:latest",
            "[2/4] WORKDIR app",
            "[internal] load build context",
            "[3/4] COPY --chown=1:2 a* b ./",
            "[4/4] RUN make 1",
        ]
    );
    assert_eq!(
        history(&plan),
        [
            ("base", false),
            ("ARG V=1", true),
            ("ENV A=x", true),
            ("ENV B=x y", true),
            ("WORKDIR /srv/app", false),
            ("COPY --chown=1:2 a* b ./ # buildkit", false),
            ("RUN |1 V=1 /bin/sh -c make $V # buildkit", false),
            ("EXPOSE [443/tcp 80/udp 81/udp]", true),
            ("VOLUME [/data]", true),
            ("USER app", true),
            ("STOPSIGNAL SIGINT", true),
            ("SHELL [/bin/bash -c]", true),
            (
                "HEALTHCHECK {Test:[CMD-SHELL true] Interval:1m30s Timeout:0s StartPeriod:0s StartInterval:0s Retries:0}",
                true
            ),
            ("LABEL k=v", true),
            ("ENTRYPOINT [\"/app/run\"]", true),
            ("CMD [\"/bin/bash\" \"-c\" \"a \\\"b\\\"\"]", true),
        ]
    );
    let config = &plan.graph.targets[0].config;
    assert!(config.history[1..].iter().all(|entry| entry.comment == "buildkit.dockerfile.v0"));
    let json = serde_json::to_value(&config.config).unwrap();
    assert_eq!(
        json,
        serde_json::json!({
            "User": "app",
            "ExposedPorts": {"443/tcp": {}, "80/udp": {}, "81/udp": {}},
            "Env": ["PATH=/bin", "BASE=1", "A=x", "B=x y"],
            "Entrypoint": ["/app/run"],
            "Cmd": ["/bin/bash", "-c", "a \"b\""],
            "ArgsEscaped": true,
            "Healthcheck": {"Test": ["CMD-SHELL", "true"], "Interval": 90_000_000_000_i64},
            "Volumes": {"/data": {}},
            "WorkingDir": "/srv/app",
            "OnBuild": ["RUN x"],
            "Labels": {"given": "yes", "k": "v"},
            "StopSignal": "SIGINT",
            "Shell": ["/bin/bash", "-c"],
        })
    );
    let Action::Run(run) = &plan.graph.steps[4].action else { panic!() };
    assert_eq!(run.arguments, ["/bin/sh", "-c", "make $V"]);
    assert_eq!(run.environment, ["PATH=/bin", "BASE=1", "V=1", "A=x", "B=x y"]);
    assert_eq!(run.directory.to_str(), Some("/srv/app"));
    let Action::Copy(copy) = &plan.graph.steps[3].action else { panic!() };
    assert_eq!(copy.destination, "/srv/app/");
    assert_eq!(copy.sources[0].paths, ["/a*"]);
    assert_eq!((copy.owner.as_deref(), copy.unpack), (Some("1:2"), Unpack::Never));
}

#[test]
fn skips_what_is_not_needed() {
    let source = "FROM debian AS build\nRUN make\nFROM missing AS unused\nRUN never\n\
                  FROM scratch AS out\nCOPY --from=build /x /\nFROM build AS other\nCMD x\n";
    let (plan, _) = ask(source, &Ask { target: Some("OUT"), ..Ask::default() }).unwrap();
    assert_eq!(
        names(&plan),
        [
            "[build 1/2] FROM docker.io/library/debian:latest",
            "[build 2/2] RUN make",
            "FROM scratch",
            "[out 1/1] COPY --from=build /x /",
        ]
    );
    let (plan, _) = ask(source, &Ask::default()).unwrap();
    assert_eq!(names(&plan).len(), 2);
    assert_eq!(history(&plan).last(), Some(&("CMD [\"/bin/sh\" \"-c\" \"x\"]", true)));
    let fault = ask(source, &Ask { target: Some("ot"), ..Ask::default() }).unwrap_err();
    assert_eq!(fault.message, "target stage \"ot\" could not be found (did you mean out?)");
}

#[test]
fn takes_arguments_where_they_are_declared() {
    let source = "ARG TAG=1\nARG NAME=img$TAG\nFROM $NAME AS a\nRUN echo $TAG\nFROM a\nARG TAG\nARG HTTP_PROXY\n\
                  ARG TARGETARCH\nRUN echo $TAG $TARGETARCH\n";
    let arguments = [("TAG", "2"), ("HTTP_PROXY", "p"), ("no_proxy", "q")];
    let (plan, warnings) = ask(source, &Ask { arguments: &arguments, ..Ask::default() }).unwrap();
    assert_eq!(
        names(&plan),
        [
            "[a 1/2] FROM docker.io/library/img2:latest",
            "[a 2/2] RUN echo $TAG",
            "[stage-1 1/1] RUN echo 2 amd64",
        ]
    );
    assert_eq!(warnings, []);
    let Action::Run(run) = &plan.graph.steps[1].action else { panic!() };
    assert_eq!(run.transient, ["HTTP_PROXY=p", "http_proxy=p", "NO_PROXY=q", "no_proxy=q"]);
    assert_eq!(
        history(&plan).last().unwrap().0,
        "RUN |3 TAG=2 HTTP_PROXY=p TARGETARCH=amd64 /bin/sh -c echo $TAG $TARGETARCH # buildkit"
    );
}

#[test]
fn builds_for_several_machines() {
    let source = "FROM --platform=$BUILDPLATFORM debian AS b\nARG TARGETARCH\nRUN make $TARGETARCH\n\
                  FROM debian\nCOPY --from=b /x /\nCOPY . .\n";
    let (plan, _) =
        ask(source, &Ask { platforms: &["linux/amd64", "linux/arm64"], ..Ask::default() }).unwrap();
    let targets: Vec<String> = plan.graph.targets.iter().map(|target| target.platform.to_string()).collect();
    assert_eq!(targets, ["linux/amd64", "linux/arm64"]);
    let names = names(&plan);
    assert!(names.contains(&"[linux/amd64->arm64 b 2/2] RUN make arm64"), "{names:?}");
    assert!(names.contains(&"[linux/arm64 stage-1 2/3] COPY --from=b /x /"), "{names:?}");
    // The context and the base of the builder are read once.
    assert_eq!(names.iter().filter(|name| name.contains("build context")).count(), 1);
    assert_eq!(names.iter().filter(|name| name.contains("FROM")).count(), 2);
}

#[test]
fn follows_triggers_contexts_and_mounts() {
    let source = "FROM scratch AS tools\nCOPY t /t\nFROM trigger\nENV A=1\n\
                  RUN --mount=type=cache,target=/c --mount=from=other,source=s,target=m \
                  --mount=type=secret,id=key,env=KEY --mount=type=ssh --mount=type=tmpfs,target=/tmp make $KEY\n\
                  COPY --from=dir a /\n";
    let directory = Named::Source(Source::Context { name: "dir".to_owned() });
    let (plan, _) = ask(source, &Ask { contexts: vec![("dir", directory)], ..Ask::default() }).unwrap();
    let names = names(&plan);
    for name in [
        "[stage-1 2/5] ONBUILD RUN echo $A",
        "[stage-1 3/5] ONBUILD COPY --from=tools /t /t",
        "FROM docker.io/library/other:latest",
        "[context dir] load from client",
        "[stage-1 5/5] COPY --from=dir a /",
    ] {
        assert!(names.contains(&name), "{name}: {names:?}");
    }
    let run = plan.graph.steps.iter().rev().find_map(|step| match &step.action {
        Action::Run(run) => Some((step.name.as_str(), run)),
        _ => None,
    });
    let (name, run) = run.unwrap();
    assert!(name.ends_with("make ****"), "{name}");
    let targets: Vec<_> =
        run.mounts.iter().map(|mount| (mount.target.to_str().unwrap(), mount.read_only)).collect();
    assert_eq!(
        targets,
        [
            ("/c", false),
            ("/srv/m", true),
            ("/run/secrets/key", true),
            ("/run/buildkit/ssh_agent.0", true),
            ("/tmp", false)
        ]
    );
    assert!(
        matches!(&run.mounts[2].kind, MountKind::Secret { file: false, variable: Some(v), .. } if v == "KEY")
    );
    assert!(plan.graph.targets[0].config.config.on_build.is_empty());
}

#[test]
fn reads_documents_and_addresses() {
    let source = "FROM debian\nENV A=1\nRUN <<EOF\necho a\necho b\nEOF\nRUN <<EOF\n#!/bin/x\nEOF\nRUN cat <<EOF >y\nhi\nEOF\n\
                  COPY <<a <<\"b\" /d/\n$A\na\n$A\nb\n\
                  ADD https://h/p/f.tar.gz?x=1 https://h/r.git#main:sub x.tar /z/\n";
    let (plan, _) = ask(source, &Ask::default()).unwrap();
    let runs: Vec<_> = plan
        .graph
        .steps
        .iter()
        .filter_map(|step| if let Action::Run(run) = &step.action { Some((&step.name, run)) } else { None })
        .collect();
    assert_eq!(runs[0].0, "[2/6] RUN <<EOF (echo a...)");
    assert_eq!(runs[0].1.arguments[2], "echo a\necho b\n");
    assert_eq!(runs[1].1.arguments[2], "/dev/pipes/EOF");
    assert_eq!(runs[1].1.documents, [("EOF".to_owned(), b"#!/bin/x\n".to_vec())]);
    assert_eq!(runs[2].1.arguments[2], "cat <<EOF >y\nhi\nEOF");
    let sources: Vec<_> = plan
        .graph
        .steps
        .iter()
        .filter_map(|step| if let Action::Source(source) = &step.action { Some(source) } else { None })
        .collect();
    assert_eq!(*sources[0], Source::Inline(vec![("a".to_owned(), b"1\n".to_vec())]));
    assert_eq!(*sources[1], Source::Inline(vec![("b".to_owned(), b"$A\n".to_vec())]));
    assert!(matches!(sources[2], Source::Web { url, .. } if url.ends_with("?x=1")));
    assert!(matches!(sources[3], Source::Git { revision, .. } if revision == "main"));
    let Some(Action::Copy(copy)) = plan.graph.steps.last().map(|step| &step.action) else { panic!() };
    let paths: Vec<_> = copy.sources.iter().map(|pick| pick.paths[0].as_str()).collect();
    assert_eq!((paths, copy.unpack), (vec!["/f.tar.gz", "/", "/x.tar"], Unpack::Local));
    assert_eq!(
        history(&plan).last().unwrap().0,
        "ADD https://h/p/f.tar.gz?x=1 https://h/r.git#main:sub x.tar /z/ # buildkit"
    );
}

#[test]
fn says_what_is_wrong() {
    for (source, message, lines) in [
        (
            "FROM missing\n",
            "missing: failed to resolve source metadata for docker.io/library/missing:latest: docker.io/library/missing:latest: not found",
            (1, 1),
        ),
        (
            "FROM debian AS a\nCOPY --from=b x y\nFROM debian AS b\nCOPY --from=a x y\n",
            "circular dependency detected on stage: a",
            (4, 4),
        ),
        (
            "FROM debian AS a\nCOPY --from=b x y\nFROM debian AS b\nFROM a\n",
            "cannot copy from stage \"b\", it needs to be defined before current stage \"a\"",
            (2, 2),
        ),
        ("ARG X\nFROM $X\n", "base name ($X) should not be blank", (2, 2)),
        ("FROM debian\nCOPY --from=7 x y\n", "invalid stage index 7", (2, 2)),
        (
            "FROM debian\nCOPY --from=$x x y\n",
            "variable expansion is not supported for --from, define a new stage with FROM using ARG from global scope as a workaround",
            (2, 2),
        ),
        ("FROM debian\nSTOPSIGNAL SIGFOO\n", "invalid signal: SIGFOO", (2, 2)),
        ("FROM debian\nEXPOSE 99999\n", "invalid containerPort: 99999", (2, 2)),
        (
            "FROM debian\nCOPY --chmod=u+q a b\n",
            "invalid chmod parameter: 'u+q'. it should be octal string and between 0 and 07777",
            (2, 2),
        ),
        ("FROM debian\nCOPY https://h/x y\n", "source can't be a URL for COPY", (2, 2)),
        ("FROM debian\nRUN --security=insecure x\n", "security.insecure is not allowed", (2, 2)),
        ("FROM debian\nRUN --mount=type=cache,target=/ x\n", "invalid mount target \"/\"", (2, 2)),
        ("FROM debian\nENV A=${B:?no}\n", "failed to process \"${B:?no}\": B: no", (2, 2)),
    ] {
        let fault = ask(source, &Ask::default()).unwrap_err();
        assert_eq!((fault.message.as_str(), fault.places[0]), (message, lines), "{source}");
    }
}

#[test]
fn warns() {
    let source = "FROM --platform=linux/amd64 debian AS a\nWORKDIR app\nENV TOKEN=1 X=$Y\nENV A b\nCMD x\nCMD [\"y\"]\n\
                  COPY secret /\nEXPOSE 80:80/TCP\nFROM --platform=$TARGETPLATFORM debian AS a\nfrom scratch AS context\n";
    let all = Ask { ignore: &["secret"], all_stages: true, ..Ask::default() };
    let (_, warnings) = ask(source, &all).unwrap();
    let found: Vec<&str> = warnings.iter().map(|(name, _)| *name).collect();
    for rule in [
        "FromPlatformFlagConstDisallowed",
        "WorkdirRelativePath",
        "SecretsUsedInArgOrEnv",
        "UndefinedVar",
        "LegacyKeyValueFormat",
        "JSONArgsRecommended",
        "MultipleInstructionsDisallowed",
        "CopyIgnoredFile",
        "ExposeInvalidFormat",
        "ExposeProtoCasing",
        "DuplicateStageName",
        "RedundantTargetPlatform",
        "ReservedStageName",
        "ConsistentInstructionCasing",
    ] {
        assert!(found.contains(&rule), "{rule}: {found:?}");
    }
    let (_, warnings) = ask(
        "ARG IMG=\nFROM debian$TGA\nARG TAG\nFROM ${IMG}\n",
        &Ask { target: None, arguments: &[("IMG", "debian")], ..Ask::default() },
    )
    .unwrap();
    let found: Vec<&str> = warnings.iter().map(|(name, _)| *name).collect();
    assert_eq!(found, ["UndefinedArgInFrom", "InvalidDefaultArgInFrom"]);
}

#[test]
fn knows_times_and_fresh_stages() {
    let source = "FROM debian AS a\nRUN x\nFROM a\nRUN y\n";
    let fresh = Fresh::Stages(vec!["a".to_owned()]);
    let arguments = [("SOURCE_DATE_EPOCH", "1700000000")];
    let (plan, _) = ask(source, &Ask { fresh, arguments: &arguments, ..Ask::default() }).unwrap();
    assert_eq!(plan.epoch, Some(1_700_000_000));
    assert_eq!(plan.graph.steps.iter().map(|step| step.fresh).collect::<Vec<_>>(), [false, true, false]);
    let history = &plan.graph.targets[0].config.history;
    assert_eq!(history[1].created.as_deref(), Some("2023-11-14T22:13:20Z"));
}
