//! The binary to run, the golden models to run it on, and what it said.

use std::fmt;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

/// Longer than any run takes on a slow machine; a hang fails instead of blocking the suite.
const PATIENCE: Duration = Duration::from_secs(900);

/// The random models of `tests/golden`.
pub(crate) const CASES: [&str; 5] =
    ["a-f32-tower", "b-f16-shards", "c-crop", "d-floor-grid", "e-llava-bins"];

/// A path below `tests/golden`.
pub(crate) fn golden(path: impl AsRef<Path>) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(path)
}

/// A golden model's checkpoint folder, as an argument.
pub(crate) fn checkpoint(case: &str) -> String {
    text(&golden(case).join("checkpoint"))
}

/// One of the two golden pictures, as an argument.
pub(crate) fn picture(name: &str) -> String {
    text(&golden("pictures").join(name))
}

/// A path as an argument.
pub(crate) fn text(path: &Path) -> String {
    path.to_str().expect("test paths are Unicode").to_owned()
}

/// `cpu`, and `gpu` where there is a graphics adapter, a software one included; with
/// `REQUIRE_GPU=1` its absence is a failure.
pub(crate) fn adapters() -> Vec<&'static str> {
    static FOUND: OnceLock<Vec<&str>> = OnceLock::new();
    FOUND.get_or_init(find_adapters).clone()
}

fn find_adapters() -> Vec<&'static str> {
    let gpu = pollster::block_on(mqt::internals::gpu::Gpu::open(&mqt::gpu::AdapterChoice::Gpu))
        .ok()
        .flatten();
    if gpu.is_some() {
        return vec!["cpu", "gpu"];
    }
    assert!(std::env::var("REQUIRE_GPU").is_err(), "REQUIRE_GPU is set, and there is no adapter");
    vec!["cpu"]
}

/// A run of the binary.
pub(crate) struct Mqt {
    command: Command,
    stdin: Vec<u8>,
}

/// What a run left.
pub(crate) struct Done {
    line: String,
    /// The exit code; -1 if a signal ended it.
    pub(crate) code: i32,
    pub(crate) stdout: String,
    /// Without what the drivers say.
    pub(crate) stderr: String,
}

/// `mqt` with these arguments, not yet started.
pub(crate) fn mqt<S: AsRef<str>>(args: impl IntoIterator<Item = S>) -> Mqt {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mqt"));
    command.args(args.into_iter().map(|arg| arg.as_ref().to_owned()));
    // Not the developer's own: what was measured there is not what these tests are about.
    command.env("MQT_CACHE", concat!(env!("CARGO_TARGET_TMPDIR"), "/cache"));
    // Without a flag the processor would answer where the only adapter is a software one, and the
    // kernels would go untested.
    command.env("MQT_ADAPTER", adapters().last().expect("the processor is always there"));
    // The tests of that have caches of their own.
    command.env("MQT_NO_PICTURE_CACHE", "1");
    Mqt { command, stdin: Vec::new() }
}

/// A command line without spaces inside its arguments, followed by arguments that may have some.
pub(crate) fn words<'a>(line: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    line.split_whitespace().chain(more.iter().copied()).collect()
}

impl Mqt {
    pub(crate) fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Mqt {
        self.stdin = bytes.into();
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Mqt {
        self.command.env(name, value);
        self
    }

    pub(crate) fn folder(mut self, folder: &Path) -> Mqt {
        self.command.current_dir(folder);
        self
    }

    /// Starts it and leaves the rest to the caller.
    pub(crate) fn start(mut self) -> Child {
        let pipes =
            self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = pipes.spawn().expect("the binary was built with this test");
        let mut stdin = child.stdin.take().expect("piped");
        let bytes = std::mem::take(&mut self.stdin);
        // The program may end without having read everything.
        thread::spawn(move || drop(stdin.write_all(&bytes)));
        child
    }

    /// Runs it to its end.
    pub(crate) fn run(self) -> Done {
        let line = format!("{:?}", self.command);
        finish(self.start(), line)
    }

    /// Runs it and expects success.
    pub(crate) fn ok(self) -> Done {
        let done = self.run();
        assert_eq!(done.code, 0, "{done:#?}");
        done
    }
}

/// Reads what a process says until it ends.
pub(crate) fn finish(mut child: Child, line: String) -> Done {
    let reader = |source: Option<Box<dyn Read + Send>>| {
        thread::spawn(move || {
            let mut bytes = Vec::new();
            source.map(|mut source| source.read_to_end(&mut bytes));
            String::from_utf8_lossy(&bytes).into_owned()
        })
    };
    let stdout = reader(child.stdout.take().map(|pipe| Box::new(pipe) as _));
    let stderr = reader(child.stderr.take().map(|pipe| Box::new(pipe) as _));
    let start = Instant::now();
    let status = loop {
        match child.try_wait().expect("a child of ours") {
            Some(status) => break status,
            None if start.elapsed() > PATIENCE => {
                let _ = child.kill();
                panic!("{line} has not ended after {PATIENCE:?}");
            }
            None => thread::sleep(Duration::from_millis(2)),
        }
    };
    let stderr = stderr
        .join()
        .expect("reads only")
        .lines()
        .filter(|line| !is_noise(line))
        .map(|line| format!("{line}\n"))
        .collect();
    Done {
        line,
        code: status.code().unwrap_or(-1),
        stdout: stdout.join().expect("reads only"),
        stderr,
    }
}

/// Lines that Vulkan loaders and drivers write to stderr by themselves.
fn is_noise(line: &str) -> bool {
    ["XDG_RUNTIME_DIR", "MESA", "libEGL", "lavapipe is not a conformant", "WARNING: "]
        .iter()
        .any(|noise| line.contains(noise))
}

impl fmt::Debug for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Done { line, code, stdout, stderr } = self;
        write!(f, "{line}\nexit code {code}\n-- stdout\n{stdout}-- stderr\n{stderr}")
    }
}

impl Done {
    /// The records on stdout.
    pub(crate) fn records(&self) -> Vec<serde_json::Value> {
        self.stdout
            .lines()
            .map(|line| {
                serde_json::from_str(line)
                    .unwrap_or_else(|error| panic!("{error} in {line:?} of {self:#?}"))
            })
            .collect()
    }

    /// The only record on stdout.
    pub(crate) fn record(&self) -> serde_json::Value {
        let mut records = self.records();
        assert_eq!(records.len(), 1, "{self:#?}");
        records.remove(0)
    }

    /// Checks for a clean refusal: the code, nothing on stdout, one sentence on stderr that
    /// mentions `hint`.
    pub(crate) fn refused(&self, code: i32, hint: &str) {
        assert_eq!(self.code, code, "{self:#?}");
        assert_eq!(self.stdout, "", "{self:#?}");
        assert_eq!(self.stderr.lines().count(), 1, "{self:#?}");
        assert!(self.stderr.starts_with("error: "), "{self:#?}");
        assert!(self.stderr.contains(hint), "{hint:?} is not in {self:#?}");
        assert!(!self.stderr.contains("panicked"), "{self:#?}");
    }
}

/// Presses Ctrl-C for a process.
#[cfg(unix)]
pub(crate) fn interrupt(child: &Child) {
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(sent.expect("every Unix has kill").success());
}

/// Waits until something is so that must come.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "{what} has not come after {PATIENCE:?}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Copies a folder with everything in it.
pub(crate) fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            // Not fs::copy: the copy shall be writable.
            fs::write(target, fs::read(entry.path()).unwrap()).unwrap();
        }
    }
}
