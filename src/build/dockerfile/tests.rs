//! Cases of the reader of Dockerfiles, and properties that hold for any text.

use proptest::prelude::*;

use super::*;

fn parse(source: &str) -> Result<Dockerfile, Fault> {
    Dockerfile::parse(source, &Lint::default())
}

fn expand(word: &str) -> Result<String, String> {
    let variables = |name: &str| match name {
        "PWD" => Some("/home".to_owned()),
        "SHELL" => Some("bash".to_owned()),
        "NULL" => Some(String::new()),
        "FILE" => Some("lib/a.tar.gz".to_owned()),
        _ => None,
    };
    Lexer::new('\\').expand(word, &variables).map(|expanded| expanded.text)
}

#[test]
fn expands_as_a_shell() {
    for (word, wanted) in [
        ("he'll'o", "hello"),
        ("abc\\tdef", "abctdef"),
        ("\"abc\\tdef\"", "abc\\tdef"),
        ("\"abc\\\\tdef\"", "abc\\tdef"),
        ("hello\\", "hello"),
        ("$.", "$."),
        ("he$1x", "hex"),
        ("he$PWD", "he/home"),
        ("he\\$PWD", "he$PWD"),
        ("'he$PWD'", "he$PWD"),
        ("\"he$PWD\"", "he/home"),
        ("he${PWD}", "he/home"),
        ("he${XX:-\\$PWD}", "he$PWD"),
        ("he${XX:-${PWD:-xx}}", "he/home"),
        ("he${NULL:-x}", "hex"),
        ("he${NULL-x}", "he"),
        ("he${NULL:+x}", "he"),
        ("he${NULL+x}", "hex"),
        ("he${PWD:+${PWD}}", "he/home"),
        ("${PWD:?no}", "/home"),
        ("${FILE#*.}", "tar.gz"),
        ("${FILE##*.}", "gz"),
        ("${FILE%.*}", "lib/a.tar"),
        ("${FILE%%.*}", "lib/a"),
        ("${FILE#*/}", "a.tar.gz"),
        ("${FILE/a/b}", "lib/b.tar.gz"),
        ("${FILE//a/b}", "lib/b.tbr.gz"),
        ("${FILE/\\//-}", "lib-a.tar.gz"),
        ("${FILE//./}", "lib/atargz"),
        ("${FILE/%/x}", "lib/a.tar.gz"),
        ("${FILE//?/x}", "xxxxxxxxxxxx"),
    ] {
        assert_eq!(expand(word).as_deref(), Ok(wanted), "{word}");
    }
    for (word, why) in [
        ("he'llo", "single-quote"),
        ("\"hello", "double-quote"),
        ("he${", "missing '}'"),
        ("he${}xx", "bad substitution"),
        ("he${hi", "missing '}'"),
        ("${PWD:x}", "unsupported modifier (:x)"),
        ("${PWD:#x}", "unsupported modifier (:#)"),
        ("${NOT?}", "NOT: is not allowed to be unset"),
        ("${NULL:?}", "NULL: is not allowed to be empty"),
        ("${NULL:?say so}", "NULL: say so"),
        ("${FILE/a}", "missing '/'"),
        ("${FILE#\\a}", "invalid escape"),
    ] {
        let error = expand(word).unwrap_err();
        assert!(error.contains(why), "{word}: {error}");
    }
}

#[test]
fn splits_words() {
    let words = |word: &str| Lexer::new('\\').expand(word, &|_| Some("a b".to_owned())).unwrap().words;
    assert_eq!(words("x $y \"$y\""), ["x", "a", "b", "a b"]);
    assert_eq!(words("ab${x:-y}c"), ["aba", "bc"]);
    assert_eq!(words("cat << EOF >x"), ["cat", "<< EOF", ">x"]);
}

#[test]
fn joins_lines() {
    let file = parse(
        "# escape=`\n# a remark\nFROM a AS b\nRUN one `\n  # left out\n\n  two\\ `\n&& three\nCMD [\"x\", \"y\"]\n",
    )
    .unwrap();
    assert_eq!(file.escape, '`');
    let stage = &file.stages[0];
    assert_eq!((stage.base.as_str(), stage.name.as_str(), stage.lines), ("a", "b", (3, 3)));
    let Kind::Run(run) = &stage.instructions[0].kind else { panic!() };
    assert_eq!(run.command.words, ["one   two\\ && three"]);
    assert!(run.command.shell);
    assert_eq!(stage.instructions[0].lines, (4, 8));
    let Kind::Cmd(command) = &stage.instructions[1].kind else { panic!() };
    assert_eq!((command.words.join(","), command.shell), ("x,y".to_owned(), false));
}

#[test]
fn reads_documents() {
    let file = parse(
        "FROM a\nRUN <<EOF cat >x\n\tone\nEOF\nCOPY <<-\"A\" <<B x /y/\n\t$one\n\tA\n$two\nB\nONBUILD RUN <<C\nhi\nC\nUSER u\n",
    )
    .unwrap();
    let instructions = &file.stages[0].instructions;
    let Kind::Run(run) = &instructions[0].kind else { panic!() };
    assert_eq!((run.documents[0].name.as_str(), run.documents[0].content.as_str()), ("EOF", "\tone\n"));
    let Kind::Copy(copy) = &instructions[1].kind else { panic!() };
    assert_eq!(copy.sources, ["x"]);
    let documents: Vec<_> =
        copy.documents.iter().map(|d| (d.name.as_str(), d.content.as_str(), d.expand)).collect();
    assert_eq!(documents, [("A", "$one\n", false), ("B", "$two\n", true)]);
    let Kind::OnBuild(trigger) = &instructions[2].kind else { panic!() };
    assert_eq!(trigger, "RUN <<C\nhi\nC");
    assert_eq!(instructions[3].lines, (13, 13));
    assert_eq!(parse("FROM a\nRUN <<EOF\nx\n").unwrap_err().message, "unterminated heredoc");
}

#[test]
fn reads_flags_and_pairs() {
    let file = parse(
        "FROM --platform=linux/arm64 a\nCOPY --from=b --chown=\"1:2\" --link --exclude=x --exclude=y a b /c/\n\
         ENV A=1 B=\"two words\" C=a\\ b\nENV D  old  style\nLABEL \"x y\"=z\n\
         HEALTHCHECK --interval=1m30s --start-interval=500ms --retries=3 CMD curl x\nARG X Y=1\n",
    )
    .unwrap();
    let stage = &file.stages[0];
    assert_eq!(stage.platform, "linux/arm64");
    let Kind::Copy(copy) = &stage.instructions[0].kind else { panic!() };
    assert_eq!((copy.from.as_str(), copy.chown.as_str(), copy.link), ("b", "1:2", true));
    assert_eq!((copy.exclude.len(), copy.sources.len(), copy.destination.as_str()), (2, 2, "/c/"));
    let Kind::Env(pairs) = &stage.instructions[1].kind else { panic!() };
    assert_eq!(pairs.iter().map(|p| p.value.as_str()).collect::<Vec<_>>(), ["1", "\"two words\"", "a\\ b"]);
    let Kind::Env(pairs) = &stage.instructions[2].kind else { panic!() };
    assert_eq!((pairs[0].value.as_str(), pairs[0].legacy), ("old  style", true));
    let Kind::Healthcheck(health) = &stage.instructions[4].kind else { panic!() };
    assert_eq!(health.test, ["CMD-SHELL", "curl x"]);
    assert_eq!((health.interval, health.start_interval, health.retries), (90_000_000_000, 500_000_000, 3));
}

#[test]
fn says_what_is_wrong_and_where() {
    for (source, message, position) in [
        (
            "FROM a\nRUNN x\n",
            "dockerfile parse error on line 2: unknown instruction: RUNN (did you mean RUN?)",
            (2, 1),
        ),
        (
            "FROM a\nRUN x\n  COPY --form=a b c\n",
            "dockerfile parse error on line 3: unknown flag: --form (did you mean from?)",
            (3, 8),
        ),
        (
            "FROM a # why\n",
            "dockerfile parse error on line 1: FROM requires either one or three arguments",
            (1, 10),
        ),
        (
            "FROM a\nCOPY a\n",
            "dockerfile parse error on line 2: COPY requires at least two arguments, but only one was provided. Destination could not be determined",
            (2, 1),
        ),
        ("FROM a\nENV A\n", "ENV must have two arguments", (2, 1)),
        (
            "FROM a\nENV A=1 B\n",
            "Syntax error - can't find = in \"B\". Must be of the form: name=value",
            (2, 1),
        ),
        (
            "FROM a AS 1x\n",
            "dockerfile parse error on line 1: invalid name for build stage: \"1x\", name can't start with a number or contain symbols",
            (1, 11),
        ),
        ("RUN x\n", "no build stage in current context", (1, 1)),
        ("FROM a\nRUN --mount=type=bnd x\n", "", (0, 0)),
        (
            "FROM a\nRUN --mount=from=$x x\n",
            "dockerfile parse error on line 2: 'from' doesn't support variable expansion, define alias stage instead",
            (2, 13),
        ),
        (
            "FROM a\nSHELL sh\n",
            "dockerfile parse error on line 2: SHELL requires the arguments to be in JSON form",
            (2, 1),
        ),
        (
            "FROM a\nCMD [\"a\", 1]\n",
            "when using JSON array syntax, arrays must be comprised of strings only",
            (2, 1),
        ),
        ("# escape=x\nFROM a\n", "invalid escape token 'x' does not match ` or \\", (1, 10)),
        ("# escape=`\n# escape=`\nFROM a\n", "only one escape parser directive can be used", (2, 1)),
    ] {
        match parse(source) {
            Err(fault) => {
                assert_eq!(fault.message, message);
                assert_eq!(fault.position(source), Some(position), "{source}");
            }
            Ok(_) => assert_eq!(message, "", "{source}"),
        }
    }
    assert!(parse("FROM a # why\n").unwrap_err().hint.is_some());
    assert_eq!(parse("").unwrap_err().message, "the Dockerfile cannot be empty");
    assert_eq!(parse("# only\n").unwrap_err().message, "file with no instructions");
    let source = "FROM a\nRUNN x\nCMD y\n";
    assert_eq!(
        parse(source).unwrap_err().excerpt("Dockerfile", source),
        "Dockerfile:2\n--------------------\n   1 |     FROM a\n   2 | >>> RUNN x\n     |     ^^^^\n   3 |     CMD y\n   4 |     \n--------------------\n"
    );
}

#[test]
fn reads_mounts() {
    let mount = |value: &str| parse_mount(value, |text| Ok(text.replace("$x", "y")));
    let cache = mount("type=cache,target=/a/$x,sharing=locked,mode=0700,uid=1").unwrap();
    assert_eq!((cache.kind, cache.target.as_str(), cache.read_only), (MountType::Cache, "/a/y", false));
    assert_eq!((cache.sharing.as_deref(), cache.mode, cache.uid), (Some("locked"), Some(0o700), Some(1)));
    assert!(mount("target=/a").unwrap().read_only);
    assert!(!mount("target=/a,rw").unwrap().read_only);
    assert_eq!(mount("type=tmpfs,target=/a,size=64m").unwrap().size, Some(64 << 20));
    assert_eq!(mount("type=secret,\"id=a,b\",env=T").unwrap().id, "a,b");
    for (value, message) in [
        ("type=bnd", "unsupported mount type \"bnd\" (did you mean bind?)"),
        ("type=secret", "invalid secret mount. one of source, target required"),
        ("type=bind,uid=1", "uid not allowed for \"bind\" type mounts"),
        ("type=bind,sharing=shared", "invalid cache sharing set for bind mount"),
        ("targt=/a", "unexpected key 'targt' in 'targt=/a' (did you mean target?)"),
        ("target", "invalid field 'target' must be a key=value pair"),
        ("required", "unexpected key 'required' for mount type 'bind'"),
    ] {
        assert_eq!(mount(value).unwrap_err().message, message);
    }
}

#[test]
fn warns() {
    let lint = Lint::default();
    let source =
        "from a As Bx\nMAINTAINER x\nRUN a \\\n\n b\n# check=skip=MaintainerDeprecated\nMAINTAINER y\n";
    Dockerfile::parse(source, &lint).unwrap();
    let found: Vec<_> = lint.warnings().into_iter().map(|w| (w.rule.name, w.lines.0)).collect();
    assert_eq!(
        found,
        [
            ("StageNameCasing", 1),
            ("FromAsCasing", 1),
            ("MaintainerDeprecated", 2),
            ("NoEmptyContinuation", 5)
        ]
    );
    let lint = Lint::default();
    let strict = "# check=skip=StageNameCasing;error=true\nFROM a AS B\nMAINTAINER x\n";
    Dockerfile::parse(strict, &lint).unwrap();
    assert_eq!(lint.error().unwrap(), "lint violation found for rules: MaintainerDeprecated");
    assert!(Lint::default().configure("nonsense").is_err());
}

proptest! {
    #[test]
    fn never_panics(
        source in "((FROM|RUN|COPY|ENV|ARG|ONBUILD|LABEL|HEALTHCHECK|#|ADD) ?[-=\"'\\\\`$<>{}\\[\\]#a-zA-Z0-9 \t,:/.é]{0,24}(\\\\)?\n){0,8}",
    ) {
        if let Err(fault) = parse(&source) {
            fault.excerpt("Dockerfile", &source);
        }
    }

    #[test]
    fn expansion_never_panics(word in "[$${}:/#%?+\\\\\"'a*é -]{0,24}") {
        let _ = expand(&word);
    }

    #[test]
    fn plain_words_stay(word in "[a-zA-Z0-9/._-]{0,20}") {
        prop_assert_eq!(expand(&word), Ok(word));
    }
}
