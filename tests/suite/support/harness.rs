//! Runs the tests and counts them.
//!
//! A test is a plain function; it fails by panicking, and is skipped by [`super::needs`]. What was skipped is
//! named at the end, with the reason, and the last line counts: a green run cannot be an empty one.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Mutex;

use libtest_mimic::{Arguments, Completion, Failed, Trial};

/// A test and its name.
pub(crate) type Test = (&'static str, fn());

/// Lists functions as tests under their own names.
macro_rules! tests {
    ($($name:ident),* $(,)?) => { &[$((stringify!($name), $name as fn())),*] };
}
pub(crate) use tests;

/// What [`super::needs`] unwinds with where this host lacks something.
#[derive(Debug)]
pub(crate) struct Skip(pub(crate) String);

thread_local! {
    /// The words and the place of this thread's last panic.
    static PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

static SKIPPED: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Runs the tests of all modules that the command line selects, and says how many passed.
pub(crate) fn run(modules: &[(&'static str, &'static [Test])]) -> ExitCode {
    let arguments = Arguments::from_args();
    // Said once, with the test's name, not also in the middle of the others' results.
    std::panic::set_hook(Box::new(|info| PANIC.set(info.to_string())));
    let trials = modules
        .iter()
        .flat_map(|(module, tests)| {
            tests.iter().map(move |(name, test)| {
                let name = format!("{module}::{name}");
                Trial::ignorable_test(name.clone(), move || once(&name, *test))
            })
        })
        .collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    super::sandbox::remove_programs();
    if !arguments.list {
        for line in SKIPPED.lock().unwrap().iter() {
            println!("{line}");
        }
        println!(
            "{} passed, {} failed, {} skipped",
            conclusion.num_passed, conclusion.num_failed, conclusion.num_ignored
        );
    }
    conclusion.exit_code()
}

fn once(name: &str, test: fn()) -> Result<Completion, Failed> {
    match catch_unwind(AssertUnwindSafe(test)) {
        Ok(()) => Ok(Completion::Completed),
        Err(payload) => match payload.downcast::<Skip>() {
            Ok(skip) => {
                SKIPPED.lock().unwrap().push(format!("skipped: {name}: {}", skip.0));
                Ok(Completion::ignored_with(skip.0))
            }
            Err(_) => Err(Failed::from(PANIC.take())),
        },
    }
}
