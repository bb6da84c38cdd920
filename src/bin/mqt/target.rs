//! Outputs that a command names: checked and locked before any work, written when it is done.
//!
//! A new file appears complete or not at all. A file that exists keeps its mode, its owner and its
//! other names. Links are followed. Pipes, terminals and devices are written into, never replaced.

use crate::args::ModelArgs;
use crate::failure::{Failure, Result};
use crate::lock::Lock;
use crate::picture::Picture;
pub(crate) use draft::clean_up;
use draft::{LockBeside, create, overwrite, replace};
use std::ffi::OsStr;
use std::fs::{self, File, FileType, OpenOptions};
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::path::{Path, PathBuf};
pub(crate) use stdout::{is_stdout, refuse_stdout, shown_path};

mod draft;
mod stdout;

/// An output that can be written and that no other mqt writes.
pub(crate) struct Target {
    /// The flag and the path, as given.
    name: String,
    place: Place,
}

enum Place {
    /// There is no file yet.
    New { path: PathBuf, _lock: LockBeside },
    /// A file; the lock is on itself, whatever name it was found by.
    File { path: PathBuf, lock: Lock },
    /// A pipe, a terminal or a device. It is opened when there is something to write: a pipe waits
    /// for its reader.
    Stream(PathBuf),
    /// `-`: stdout.
    Stdout,
    /// An open file of this process, such as `/dev/stdout`. What was written to it before stays.
    Descriptor(PathBuf),
}

impl Target {
    /// Checks before any work that `path` can be written, and locks it.
    pub(crate) fn open(flag: &str, path: &Path) -> Result<Target> {
        let name = named(flag, path);
        let wrong = |why: String| Failure::usage(format!("{name} {why}"));
        let failed = |error: io::Error| Failure::output(&name, &error);
        if is_stdout(path) {
            // What -o writes is no text.
            if flag == "-o" && io::stdout().is_terminal() {
                return Err(wrong(
                    "is stdout, which is a terminal here; send it to a file or a pipe".into(),
                ));
            }
            return Ok(Target { name, place: Place::Stdout });
        }
        let place = loop {
            let real = follow(path).map_err(failed)?;
            if is_descriptor(&real) {
                check_descriptor(&real).map_err(failed)?;
                break Place::Descriptor(real);
            }
            match fs::metadata(&real) {
                Ok(data) if data.is_dir() => {
                    return Err(wrong("is a folder; give a file name".into()));
                }
                Ok(data) if data.is_file() => {
                    let file = OpenOptions::new().write(true).open(&real).map_err(failed)?;
                    let lock = Lock::on(file).map_err(failed)?.ok_or_else(|| in_use(&name))?;
                    // Whoever held the lock before may have put another file there.
                    if is_open_at(lock.file(), &real) {
                        break Place::File { path: real, lock };
                    }
                }
                Ok(data) if takes_a_stream(data.file_type()) => break Place::Stream(real),
                Ok(data) => {
                    return Err(wrong(format!("is {}; give a file name", kind(data.file_type()))));
                }
                Err(error) if is_absent(&error) => {
                    let real = new_path(&real).map_err(wrong)?;
                    let lock =
                        LockBeside::of(&real).map_err(failed)?.ok_or_else(|| in_use(&name))?;
                    if !fs::exists(&real).map_err(failed)? {
                        break Place::New { path: real, _lock: lock };
                    }
                }
                Err(error) => return Err(failed(error)),
            }
        };
        Ok(Target { name, place })
    }

    /// Writes the output, all of it.
    pub(crate) fn write(self, bytes: &[u8]) -> Result<()> {
        let written = match &self.place {
            Place::New { path, .. } => create(path, bytes),
            Place::File { path, lock } => replace(path, lock.file(), bytes),
            Place::Stream(path) => {
                OpenOptions::new().write(true).open(path).and_then(|mut file| file.write_all(bytes))
            }
            Place::Stdout => stdout::write(bytes),
            Place::Descriptor(path) => append(path, bytes),
        };
        written.map_err(|error| match (&self.place, error.kind()) {
            (Place::Stream(_) | Place::Descriptor(_) | Place::Stdout, ErrorKind::BrokenPipe) => {
                Failure::reader_gone()
            }
            _ => Failure::output(&self.name, &error),
        })
    }
}

/// Writes one of our own files, as a whole.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    Target::open("", path)?.write(bytes)
}

/// Makes a file that was not there, all of it or nothing; whatever is there already stays.
pub(crate) fn create_new(flag: &str, path: &Path, bytes: &[u8]) -> Result<()> {
    create(path, bytes).map_err(|error| Failure::output(&named(flag, path), &error))
}

/// Opens and locks a file that is read back and added to, and makes it if there is none.
pub(crate) fn open_to_add(flag: &str, path: &Path) -> Result<Lock> {
    let name = named(flag, path);
    let failed = |error: io::Error| Failure::output(&name, &error);
    refuse_stdout(flag, path, "what is there is read back")?;
    loop {
        match fs::metadata(path) {
            Ok(data) if data.is_file() => {}
            Ok(_) if is_descriptor(&follow(path).map_err(failed)?) => {
                return Err(Failure::usage(format!(
                    "{name} is an open file of this program, such as stdout, and what is there is read back; give a file name"
                )));
            }
            Ok(data) => {
                return Err(Failure::usage(format!(
                    "{name} is {}; what is there is read back, so give a file name",
                    kind(data.file_type())
                )));
            }
            Err(error) if is_absent(&error) => {
                new_path(&follow(path).map_err(failed)?)
                    .map_err(|why| Failure::usage(format!("{name} {why}")))?;
            }
            Err(error) => return Err(failed(error)),
        }
        // Elsewhere a file that can only be added to cannot be cut, and a cut line has to go.
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .append(cfg!(unix))
            .create(true)
            .open(path)
            .map_err(failed)?;
        let lock = Lock::on(file).map_err(failed)?.ok_or_else(|| in_use(&name))?;
        if is_open_at(lock.file(), path) {
            return Ok(lock);
        }
    }
}

/// Gives a file that [`open_to_add`] has opened new content; the new lock, if there is another file
/// now. If the disc is full, the old content stays.
pub(crate) fn rewrite(flag: &str, path: &Path, lock: &Lock, bytes: &[u8]) -> Result<Option<Lock>> {
    let name = named(flag, path);
    let failed = |error: io::Error| Failure::output(&name, &error);
    if !cfg!(unix) {
        // Whether an open file was replaced cannot be told there.
        return overwrite(lock.file(), bytes).map(|()| None).map_err(failed);
    }
    replace(&follow(path).map_err(failed)?, lock.file(), bytes).map_err(failed)?;
    if is_open_at(lock.file(), path) {
        return Ok(None);
    }
    // Our lock is on a file without a name; another mqt may have been faster here.
    let lock = open_to_add(flag, path)?;
    let length = lock.file().metadata().map_err(failed)?.len();
    if length == bytes.len() as u64 { Ok(Some(lock)) } else { Err(in_use(&name)) }
}

/// What an output is called in a sentence: its flag, if it has one, and its path as given.
fn named(flag: &str, path: &Path) -> String {
    if flag.is_empty() { path.display().to_string() } else { format!("{flag} {}", path.display()) }
}

fn in_use(name: &str) -> Failure {
    Failure { code: 1, message: Some(format!("{name} is in use by another mqt")) }
}

/// Whether there is nothing of that name, or something on the way to it is no folder.
fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

/// Refuses outputs that are one file, and outputs that are a file which the command reads. Each
/// comes with what to call it.
pub(crate) fn keep_apart(outputs: &[(&str, &Path)], inputs: &[(&str, &Path)]) -> Result<()> {
    let identities: Vec<Option<Identity>> =
        outputs.iter().map(|(_, path)| Identity::of_output(path)).collect();
    for (i, (identity, (flag, path))) in
        identities.iter().zip(outputs).enumerate().filter(|(_, (identity, _))| identity.is_some())
    {
        if let Some(first) = identities[..i].iter().position(|other| other == identity) {
            return Err(Failure::usage(format!(
                "{} and {flag} are one file, {}; give two",
                outputs[first].0,
                path.display()
            )));
        }
        if let Some((what, _)) = inputs.iter().find(|(_, input)| Identity::of(input) == *identity) {
            return Err(Failure::usage(format!(
                "{flag} {} is {what}; choose another file",
                path.display()
            )));
        }
    }
    Ok(())
}

/// Refuses an output that is the picture, or a file of the model.
pub(crate) fn keep_from_inputs(
    flag: &str,
    output: &Path,
    picture: &Picture,
    model: &ModelArgs,
) -> Result<()> {
    let stdin = (picture.name == "-").then_some(Path::new("/dev/stdin"));
    let picture = picture.path().or(stdin).map(|path| ("the picture", path));
    let model = model.files();
    let model = model.iter().map(|path| ("a file of the model", path.as_path()));
    keep_apart(&[(flag, output)], &picture.into_iter().chain(model).collect::<Vec<_>>())
}

/// What two names of one file have in common; special files lose nothing and have none.
#[derive(Debug, PartialEq, Eq)]
enum Identity {
    #[cfg(unix)]
    Inode(u64, u64),
    /// `-`, as an output.
    Stdout,
    /// A file's full name; one that does not exist yet would be made there.
    Path(PathBuf),
}

impl Identity {
    fn of_output(path: &Path) -> Option<Identity> {
        if is_stdout(path) { Some(Identity::Stdout) } else { Identity::of(path) }
    }

    fn of(path: &Path) -> Option<Identity> {
        match fs::metadata(path) {
            Ok(data) if !data.is_file() => None,
            #[cfg(unix)]
            Ok(data) => {
                use std::os::unix::fs::MetadataExt;
                Some(Identity::Inode(data.dev(), data.ino()))
            }
            #[cfg(not(unix))]
            Ok(_) => path.canonicalize().ok().map(Identity::Path),
            Err(_) => new_path(&follow(path).ok()?).ok().map(Identity::Path),
        }
    }
}

/// Whether the open `file` is still the one at `path`. Where that cannot be told, it is taken to
/// be.
fn is_open_at(file: &File, path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let id = |data: fs::Metadata| (data.dev(), data.ino());
        file.metadata().ok().map(id) == fs::metadata(path).ok().map(id)
    }
    #[cfg(not(unix))]
    {
        file.metadata().is_ok() && fs::exists(path).unwrap_or(true)
    }
}

/// Where links lead from `path`, be there something or not. The names of open files are links too,
/// but stay as they are.
pub(crate) fn follow(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..40 {
        if is_descriptor(&path) {
            return Ok(path);
        }
        match fs::read_link(&path) {
            Ok(to) => path = folder_of(&path).join(to),
            Err(_) => return Ok(path),
        }
    }
    Err(io::Error::other("its links lead in a circle"))
}

/// Whether `path` names an open file of a process: `/dev/fd/3`, or what `/dev/stdout` leads to.
fn is_descriptor(path: &Path) -> bool {
    let is_number = path
        .file_name()
        .and_then(OsStr::to_str)
        .is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
    let is_list = |folder: PathBuf| {
        folder == Path::new("/dev/fd") || folder.starts_with("/proc") && folder.ends_with("fd")
    };
    is_number && folder_of(path).canonicalize().is_ok_and(is_list)
}

/// A file that was opened for reading is not written, though its name would allow it. Linux says
/// how it was opened.
fn check_descriptor(path: &Path) -> io::Result<()> {
    fs::metadata(path)?;
    let number = path.file_name().unwrap_or_default();
    let list = folder_of(path).canonicalize()?;
    let about = fs::read_to_string(list.with_file_name("fdinfo").join(number)).unwrap_or_default();
    let flags = about
        .lines()
        .find_map(|line| u32::from_str_radix(line.strip_prefix("flags:")?.trim(), 8).ok());
    if flags.is_some_and(|flags| flags & 3 == 0) {
        Err(io::Error::other("it is open for reading only"))
    } else {
        Ok(())
    }
}

/// Writes to an open file of this process, behind what is there.
fn append(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let number = path.file_name().unwrap_or_default();
    let is_own = ["/dev/fd", "/proc/self/fd"]
        .iter()
        .any(|list| fs::canonicalize(list).ok() == folder_of(path).canonicalize().ok());
    if is_own && number == "1" {
        let mut stdout = io::stdout().lock();
        stdout.write_all(bytes).and_then(|()| stdout.flush())
    } else if is_own && number == "2" {
        io::stderr().lock().write_all(bytes)
    } else {
        OpenOptions::new().append(true).open(path)?.write_all(bytes)
    }
}

/// The full name of a file to be made, or why there can be none.
fn new_path(path: &Path) -> std::result::Result<PathBuf, String> {
    let ends_as_folder = path.as_os_str().as_encoded_bytes().ends_with(b"/");
    let Some(name) = path.file_name().filter(|_| !ends_as_folder) else {
        return Err("names no file; give a file name".into());
    };
    let folder = folder_of(path);
    match folder.canonicalize() {
        Ok(full) if full.is_dir() => Ok(full.join(name)),
        _ => Err(format!("cannot be made: there is no folder {}", folder.display())),
    }
}

/// The folder that a path's last part lies in.
fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Whether bytes can be written into such a file one after the other.
fn takes_a_stream(kind: FileType) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        kind.is_fifo() || kind.is_char_device()
    }
    #[cfg(not(unix))]
    {
        let _ = kind;
        false
    }
}

/// What to call a file that is no regular one.
pub(crate) fn kind(kind: FileType) -> &'static str {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if kind.is_fifo() {
            return "a named pipe";
        }
        if kind.is_socket() {
            return "a socket";
        }
        if kind.is_block_device() || kind.is_char_device() {
            return "a device";
        }
    }
    if kind.is_dir() { "a folder" } else { "no regular file" }
}

#[cfg(test)]
mod tests;
